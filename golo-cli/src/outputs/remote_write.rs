//! `-o prometheus-rw=URL`: sends metrics to a receiver of Prometheus remote write.
//!
//! Each second is one or more requests of protocol 1.0, or of 2.0 if the receiver says that it stores it. Samples are the
//! totals of the run, so a dropped second loses detail and no count. At the end each series gets a stale marker, so that
//! queries do not see it any more.
//!
//! Source: the remote write specifications 1.0 and 2.0 of Prometheus. Receivers of 1.0 answer a request of 2.0 with
//! success and store nothing (Prometheus 2.42, VictoriaMetrics 1.79), so 2.0 is used only after an empty request of 2.0
//! was answered with the number of stored samples. Classic histograms only: a Prometheus without native histograms refuses
//! all series of a request that has one.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use prost::Message as _;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use rustc_hash::FxHasher;

use super::delivery::{Courier, Parcel, SendError, Sending, compressed};
use super::exports::{Encoder, Receiver};
use super::families::Extent;
use super::frame::{Frame, milliseconds};
use super::http_courier::{HttpCourier, authorization, url};
use super::prometheus::{labels, name, samples};
use crate::support::failure::Failure;

/// Name of the output.
pub const KIND: &str = "prometheus-rw";
/// Prefix of the variables with its credentials.
pub const VARIABLES: &str = "GOLO_PROMETHEUS_RW";
/// Largest number of series in a request.
const BATCH: usize = 2000;
/// Bits of the value that ends a series.
const STALE: u64 = 0x7ff0_0000_0000_0002;
/// Header with the version of the protocol.
const VERSION: &str = "x-prometheus-remote-write-version";
/// Header by which a receiver of 2.0 tells the number of samples that it has stored.
const WRITTEN: &str = "x-prometheus-remote-write-samples-written";
/// Kinds of parcels by version.
const V1: &str = "1.0";
const V2: &str = "2.0";

/// Opens the output.
///
/// # Errors
///
/// Returns an error if the URL or the credentials cannot be used.
pub fn open(argument: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Receiver, Failure> {
    let variables = "GOLO_PROMETHEUS_RW_TOKEN, or GOLO_PROMETHEUS_RW_USER and GOLO_PROMETHEUS_RW_PASSWORD";
    let url = url(KIND, argument, "http://127.0.0.1:9090/api/v1/write", variables)?;
    let place = golo::cli::without_secrets(url.as_str()).into_owned();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
    let http = HttpCourier::new(url, headers, authorization(VARIABLES, "Bearer", variable)?)?;
    let takes_v2 = Arc::<AtomicBool>::default();
    let encoder = RemoteWrite { takes_v2: Arc::clone(&takes_v2), known: HashSet::default() };
    let courier = RemoteWriteCourier { http, is_probed: false, takes_v2 };
    Ok(Receiver::Pushed { kind: KIND, place, encoder: Box::new(encoder), courier: Box::new(courier) })
}

/// A series with its new samples.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    /// Names and values of the labels, sorted by name.
    labels: Vec<(String, String)>,
    samples: Vec<pb::Sample>,
    is_counter: bool,
}

/// Encodes seconds.
struct RemoteWrite {
    takes_v2: Arc<AtomicBool>,
    /// Hashes of the labels of series that have been sent.
    known: HashSet<u64, BuildHasherDefault<FxHasher>>,
}

impl RemoteWrite {
    /// Calls `each` for all series of a frame.
    fn lines(&mut self, frame: &Frame<'_>, mut each: impl FnMut(Line)) {
        for family in frame.families(Extent::Totals) {
            let name = name(family);
            for (series, value) in &family.series {
                let of_series = labels(frame.labels, series);
                samples(family.kind, value, |sample| {
                    let mut labels = Vec::with_capacity(of_series.len() + 2);
                    labels.push(("__name__".to_owned(), format!("{name}{}", sample.suffix)));
                    labels.extend(of_series.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
                    labels.extend(sample.label.map(|(name, value)| (name.to_owned(), value)));
                    labels.sort_unstable();
                    each(self.line(labels, sample.value, sample.is_counter, frame));
                });
            }
        }
    }

    fn line(&mut self, labels: Vec<(String, String)>, value: f64, is_counter: bool, frame: &Frame<'_>) -> Line {
        let is_new = self.known.insert(self.known.hasher().hash_one(&labels));
        let mut samples = Vec::with_capacity(2);
        if is_new && is_counter {
            // Without a first zero, rates would miss what was counted before the first sample.
            samples.push(pb::Sample { value: 0.0, timestamp: milliseconds(frame.since) });
        }
        samples.push(pb::Sample { value, timestamp: milliseconds(frame.at) });
        if frame.is_last {
            samples.push(pb::Sample { value: f64::from_bits(STALE), timestamp: milliseconds(frame.at) + 1 });
        }
        Line { labels, samples, is_counter }
    }
}

impl Encoder for RemoteWrite {
    fn encode(&mut self, frame: &Frame<'_>) -> Vec<Parcel> {
        let takes_v2 = self.takes_v2.load(Relaxed);
        let parcel = |lines: Vec<Line>| {
            let (kind, body) = if takes_v2 { (V2, encode_v2(&lines)) } else { (V1, encode_v1(lines)) };
            Parcel { kind, body: request(&body) }
        };
        // Only one batch is in memory with all its texts: they take many times the room of a request.
        let (mut parcels, mut batch) = (Vec::new(), Vec::new());
        self.lines(frame, |line| {
            batch.push(line);
            if batch.len() == BATCH {
                parcels.push(parcel(std::mem::take(&mut batch)));
            }
        });
        if !batch.is_empty() {
            parcels.push(parcel(batch));
        }
        parcels
    }
}

fn encode_v1(lines: Vec<Line>) -> Vec<u8> {
    let series = lines.into_iter().map(|line| pb::TimeSeries {
        labels: line.labels.into_iter().map(|(name, value)| pb::Label { name, value }).collect(),
        samples: line.samples,
    });
    pb::WriteRequest { timeseries: series.collect() }.encode_to_vec()
}

fn encode_v2(lines: &[Line]) -> Vec<u8> {
    // The first symbol must be empty.
    let mut symbols = vec![String::new()];
    let mut numbers = std::collections::HashMap::from([(String::new(), 0)]);
    let mut number = |text: &str| match numbers.get(text) {
        Some(known) => *known,
        None => {
            let number = u32::try_from(symbols.len()).unwrap_or(u32::MAX);
            symbols.push(text.to_owned());
            numbers.insert(text.to_owned(), number);
            number
        }
    };
    let series = lines.iter().map(|line| pb::TimeSeriesV2 {
        labels_refs: line.labels.iter().flat_map(|(name, value)| [number(name), number(value)]).collect(),
        samples: line.samples.clone(),
        metadata: Some(pb::MetadataV2 { kind: if line.is_counter { 1 } else { 2 } }),
    });
    let timeseries = series.collect();
    pb::RequestV2 { symbols, timeseries }.encode_to_vec()
}

/// Returns an encoded request as it is sent.
fn request(body: &[u8]) -> Bytes {
    // Fails only for more than 4 GB, which a batch never has.
    compressed(body).unwrap_or_default()
}

/// Sends requests, and finds out once which version the receiver stores.
struct RemoteWriteCourier {
    http: HttpCourier,
    is_probed: bool,
    takes_v2: Arc<AtomicBool>,
}

impl RemoteWriteCourier {
    fn speak(&mut self, version: &'static str) {
        let (content, version) = match version {
            V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
            _ => ("application/x-protobuf", "0.1.0"),
        };
        self.http.set_header(CONTENT_TYPE.as_str(), content);
        self.http.set_header(VERSION, version);
    }

    async fn probe(&mut self) -> Result<(), SendError> {
        self.speak(V2);
        let empty = Parcel { kind: V2, body: request(&encode_v2(&[])) };
        match self.http.post(&empty).await {
            Ok(headers) => self.takes_v2.store(headers.contains_key(WRITTEN), Relaxed),
            // A receiver of 1.0 may well refuse it.
            Err(SendError::Refused(_)) => {}
            Err(again) => return Err(again),
        }
        self.is_probed = true;
        Ok(())
    }
}

impl Courier for RemoteWriteCourier {
    fn send<'a>(&'a mut self, parcel: &'a Parcel) -> Sending<'a> {
        Box::pin(async move {
            if !self.is_probed {
                self.probe().await?;
            }
            self.speak(parcel.kind);
            self.http.post(parcel).await.map(drop)
        })
    }
}

/// Messages of the two versions.
mod pb {
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Label {
        #[prost(string, tag = 1)]
        pub(super) name: String,
        #[prost(string, tag = 2)]
        pub(super) value: String,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(super) struct Sample {
        #[prost(double, tag = 1)]
        pub(super) value: f64,
        /// Milliseconds since the Unix epoch.
        #[prost(int64, tag = 2)]
        pub(super) timestamp: i64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct TimeSeries {
        #[prost(message, repeated, tag = 1)]
        pub(super) labels: Vec<Label>,
        #[prost(message, repeated, tag = 2)]
        pub(super) samples: Vec<Sample>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct WriteRequest {
        #[prost(message, repeated, tag = 1)]
        pub(super) timeseries: Vec<TimeSeries>,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(super) struct MetadataV2 {
        #[prost(int32, tag = 1)]
        pub(super) kind: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct TimeSeriesV2 {
        #[prost(uint32, repeated, tag = 1)]
        pub(super) labels_refs: Vec<u32>,
        #[prost(message, repeated, tag = 2)]
        pub(super) samples: Vec<Sample>,
        #[prost(message, optional, tag = 5)]
        pub(super) metadata: Option<MetadataV2>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct RequestV2 {
        #[prost(string, repeated, tag = 4)]
        pub(super) symbols: Vec<String>,
        #[prost(message, repeated, tag = 5)]
        pub(super) timeseries: Vec<TimeSeriesV2>,
    }
}
