//! Trace context of requests: the trace ID of a journey and the span ID of each request, as the header `traceparent`
//! of the W3C has them.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::metrics::scope::Scope;
use crate::metrics::sequence;

/// Name of the header.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

static IS_ON: AtomicBool = AtomicBool::new(false);
/// Seed of requests outside of triggers.
static OUTSIDE: TraceSeed = TraceSeed::new();
static HASHES: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);

/// Turns the header on or off for all requests of this process.
pub(crate) fn set(is_on: bool) {
    IS_ON.store(is_on, Relaxed);
}

/// Adds the header to a request of the sequence `sequence_id`, unless it has one. Returns the context that the request
/// then has: `None` if the header is off, or if the load test has set one that is invalid.
pub(crate) fn add(headers: &mut HeaderMap, sequence_id: &str, scope: Option<&Scope>) -> Option<Box<TraceContext>> {
    if IS_ON.load(Relaxed) { add_always(headers, sequence_id, scope) } else { None }
}

/// Not inlined, so that requests without the header have only the check.
#[inline(never)]
fn add_always(headers: &mut HeaderMap, sequence_id: &str, scope: Option<&Scope>) -> Option<Box<TraceContext>> {
    match headers.get(TRACEPARENT) {
        Some(own) => TraceContext::parse(own).map(Box::new),
        None => Some(TraceContext::of_request(sequence_id, scope).put(headers)),
    }
}

/// ID of a trace, which the requests of one journey share. [`Display`](fmt::Display) writes it in 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// Creates an ID from its bytes. Returns `None` if all are zero.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// Returns the trace ID of a sequence ID that is a UUID: its bytes.
    #[must_use]
    pub fn of_sequence(sequence_id: &str) -> Option<Self> {
        Uuid::try_parse(sequence_id).ok().and_then(|id| Self::new(id.into_bytes()))
    }

    /// Returns the bytes of the ID.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// Returns the ID of a journey whose sequence ID is not a UUID: the same within the trigger with this seed.
    fn derived(seed: u64, sequence_id: &str) -> Self {
        let [high, low] = [0, 1].map(|part: usize| HASHES[part].hash_one((seed, sequence_id)));
        // Not zero.
        Self(((u128::from(high) << 64) | u128::from(low | 1)).to_be_bytes())
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// ID of a span, that is, of one request. [`Display`](fmt::Display) writes it in 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

impl SpanId {
    /// Creates an ID from its bytes. Returns `None` if all are zero.
    #[must_use]
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// Returns the bytes of the ID.
    #[must_use]
    pub fn bytes(self) -> [u8; 8] {
        self.0
    }

    fn random() -> Self {
        Self(random().to_be_bytes())
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// Trace and span of a request. [`Display`](fmt::Display) writes it as the value of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace of the request's journey.
    pub trace_id: TraceId,
    /// The span of the request.
    pub span_id: SpanId,
}

impl TraceContext {
    fn of_request(sequence_id: &str, scope: Option<&Scope>) -> Self {
        let trace_id = TraceId::of_sequence(sequence_id).unwrap_or_else(|| {
            let seed = match (sequence_id, scope) {
                // It belongs to no journey.
                ("", _) => random(),
                (_, Some(scope)) => scope.trace_seed(),
                (_, None) => OUTSIDE.get(),
            };
            TraceId::derived(seed, sequence_id)
        });
        Self { trace_id, span_id: SpanId::random() }
    }

    /// Sets the header.
    fn put(self, headers: &mut HeaderMap) -> Box<Self> {
        if let Ok(value) = HeaderValue::from_str(&self.to_string()) {
            headers.insert(TRACEPARENT, value);
        }
        Box::new(self)
    }

    /// Sets the header of the next request of the same trace.
    pub(crate) fn put_next(self, headers: &mut HeaderMap) -> Box<Self> {
        Self { span_id: SpanId::random(), ..self }.put(headers)
    }

    /// Parses the value of a header.
    fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let mut parts = text.split('-');
        let [version, trace, span, flags] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        let is_hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let are_hex = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
        // Later versions may add parts.
        if !are_hex || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace_id = TraceId::new(u128::from_str_radix(trace, 16).ok()?.to_be_bytes())?;
        let span_id = SpanId::new(u64::from_str_radix(span, 16).ok()?.to_be_bytes())?;
        Some(Self { trace_id, span_id })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id } = self;
        write!(f, "00-{trace_id}-{span_id}-01")
    }
}

/// Random number that is drawn at its first use. 0 until then.
#[derive(Debug, Default)]
pub(crate) struct TraceSeed(AtomicU64);

impl TraceSeed {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Returns the number.
    pub(crate) fn get(&self) -> u64 {
        match self.0.load(Relaxed) {
            0 => {
                let drawn = random();
                self.0.compare_exchange(0, drawn, Relaxed, Relaxed).map_or_else(|known| known, |_| drawn)
            }
            known => known,
        }
    }
}

/// Returns a random number that is not 0.
fn random() -> u64 {
    sequence::random().filter(|number| *number != 0).unwrap_or_else(|| {
        // The system has no source of randomness. These numbers are at least distinct within the process.
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        HASHES[0].hash_one(COUNTER.fetch_add(1, Relaxed)) | 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_of_the_load_test_is_parsed() {
        let parse = |text: &str| TraceContext::parse(&HeaderValue::from_str(text).unwrap());
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let valid = format!("00-{trace}-{span}-01");
        assert_eq!(parse(&valid).unwrap().to_string(), valid);
        assert_eq!(parse(&format!("cc-{trace}-{span}-00-more")).unwrap().trace_id.to_string(), trace);
        for wrong in [
            String::new(),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{trace}x-{span}-01"),
        ] {
            assert_eq!(parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn trace_id_is_the_sequence_id_if_that_is_a_uuid() {
        let id = crate::new_sequence_id();
        let one = TraceContext::of_request(&id, None);
        assert_eq!(one.trace_id.to_string(), id.replace('-', ""));
        assert_ne!(one.span_id, TraceContext::of_request(&id, None).span_id);
        assert_eq!(TraceId::of_sequence(&Uuid::nil().to_string()), None);
    }

    #[test]
    fn trace_id_of_another_sequence_id_is_that_of_its_trigger() {
        let seeds = [TraceSeed::new(), TraceSeed::new()];
        let of = |seed: &TraceSeed, id: &str| TraceId::derived(seed.get(), id).bytes();
        assert_eq!(of(&seeds[0], "order 7"), of(&seeds[0], "order 7"));
        assert_ne!(of(&seeds[0], "order 7"), of(&seeds[0], "order 8"));
        assert_ne!(of(&seeds[0], "order 7"), of(&seeds[1], "order 7"));
        let alone = || TraceContext::of_request("", None).trace_id;
        assert_ne!(alone(), alone(), "no sequence ID");
    }
}
