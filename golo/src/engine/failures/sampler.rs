//! Takes samples of failed requests on one recorder.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use rustc_hash::FxHasher;

use super::mask::{Masker, Masks};
use super::{BODY, BYTES, FailureSample, HEADERS, PER_KIND, SAMPLES, SampledMessage, TEXT};
use crate::OutputRef;
use crate::engine::errors::ErrorKind;
use crate::engine::series::Label;
use crate::metrics::scope;
use crate::support::cut;
use crate::support::secrets::without_credentials;

/// Maximum number of bytes of a body that are masked. They are more than are kept, so that a secret at the end of the
/// kept part is whole.
const MASKED: usize = 4 * BODY;
/// Maximum length of a text that is masked, in bytes.
const MASKED_TEXT: usize = 8 * TEXT;

/// Takes the first failed requests of each route and kind of error.
pub(in crate::engine) struct Sampler {
    masks: Masks,
    /// Number of samples by the number of their label.
    taken: HashMap<(u32, ErrorKind), usize, BuildHasherDefault<FxHasher>>,
    number: usize,
    bytes: usize,
    /// True if labels of journeys are numbers of the same recorder.
    knows_journeys: bool,
}

impl Sampler {
    pub(in crate::engine) fn new(masks: Masks, knows_journeys: bool) -> Self {
        Self { masks, taken: HashMap::default(), number: 0, bytes: 0, knows_journeys }
    }

    /// Returns a sample of a failed request, unless there are enough of its kind. `label` is the number of its label,
    /// and `text` returns the label with a number.
    pub(in crate::engine) fn take(
        &mut self,
        output: &OutputRef<'_>,
        (kind, error): (ErrorKind, &str),
        label: u32,
        text: impl Fn(u32) -> Arc<Label>,
    ) -> Option<FailureSample> {
        let taken = self.taken.entry((label, kind)).or_default();
        if *taken >= PER_KIND || self.number >= SAMPLES || self.bytes >= BYTES {
            return None;
        }
        let of = text(label);
        // A measured step is no request.
        if of.is_step() {
            return None;
        }
        *taken += 1;
        let mut masker = Masker::new(&self.masks);
        let mut sample = sample(&mut masker, output, kind, error, of);
        if self.knows_journeys {
            scope::with_current(|scope| {
                sample.trigger = scope.user_and_iteration();
                let (steps, further) = scope.steps_so_far(&output.sequence_id);
                let mut label = |label| masked_label(&mut masker, text(label));
                sample.steps = steps.into_iter().map(|step| step.relabel(&mut label)).collect();
                sample.further_steps = further;
            });
        }
        self.number += 1;
        self.bytes += sample.bytes();
        Some(sample)
    }
}

/// Returns the sample of a request, without its trigger and its journey.
fn sample(
    masker: &mut Masker<'_>,
    output: &OutputRef<'_>,
    kind: ErrorKind,
    error: &str,
    label: Arc<Label>,
) -> FailureSample {
    let evidence = output.evidence;
    let message = |masker: &mut Masker<'_>, headers: Option<&HeaderMap>, body: Option<&[u8]>| {
        let is_encoded = headers.is_some_and(|headers| headers.contains_key(CONTENT_ENCODING));
        Raw {
            headers: headers.map(|headers| masked_headers(masker, headers)).unwrap_or_default(),
            body: body.filter(|_| !is_encoded).map(|body| masker.body(whole(&body[..body.len().min(MASKED)]))),
            length: body.map(|body| body.len() as u64),
        }
    };
    let request = evidence.filter(|evidence| evidence.headers.is_some() || evidence.body.is_some());
    let mut request = request.map(|evidence| message(masker, evidence.headers, evidence.body));
    let mut url = masker.url(bounded(&output.url));
    let response = evidence.and_then(|evidence| evidence.response);
    let version = response.map(|response| format!("{:?}", response.version).into());
    let mut response = response.map(|response| {
        let body = Some(response.body);
        let mut response = message(masker, Some(response.headers), body);
        // The number of bytes that arrived, even if they were dropped.
        response.length = u64::try_from(output.size).ok().or(response.length);
        response
    });
    let redirected = evidence.filter(|_| output.redirects > 0).map(|evidence| evidence.url.as_str());
    let mut redirected = redirected.map(|url| masker.url(bounded(url)));
    let mut error = masker.text(bounded(&without_credentials(error)).as_bytes());
    let mut sequence_id = bounded(&output.sequence_id).as_bytes().to_vec();
    for text in [&mut url, &mut error, &mut sequence_id].into_iter().chain(&mut redirected) {
        masker.hide_found(text);
    }
    for message in request.iter_mut().chain(&mut response) {
        message.hide_found(masker);
    }
    FailureSample {
        at: output.timestamp,
        label: masked_label(masker, label),
        url: text(url),
        redirected_to: redirected.map(text),
        kind,
        error: text(error),
        status: output.status,
        version,
        duration: output.duration,
        phases: output.phases,
        request: request.map(Raw::finish),
        response: response.map(Raw::finish),
        sequence_id: text(sequence_id),
        trace: output.trace.copied(),
        trigger: None,
        steps: Vec::new(),
        further_steps: 0,
    }
}

/// A message that is masked, but not yet cut to its length.
struct Raw {
    headers: Vec<(Box<str>, Vec<u8>)>,
    body: Option<Vec<u8>>,
    length: Option<u64>,
}

impl Raw {
    fn hide_found(&mut self, masker: &Masker<'_>) {
        for text in self.headers.iter_mut().map(|(_, value)| value).chain(&mut self.body) {
            masker.hide_found(text);
        }
    }

    fn finish(self) -> SampledMessage {
        SampledMessage {
            headers: self.headers.into_iter().map(|(name, value)| (name, text(value))).collect(),
            body: self.body.map(beginning),
            length: self.length,
        }
    }
}

fn masked_label(masker: &mut Masker<'_>, label: Arc<Label>) -> Arc<Label> {
    let mut route = masker.route(&label.route);
    masker.hide_found(&mut route);
    if *route == *label.route.as_bytes() {
        return label;
    }
    let route = String::from_utf8_lossy(&route);
    Arc::new(Label::new(label.origin.clone(), &*route, label.method.clone()).with_priority(label.priority))
}

fn masked_headers(masker: &mut Masker<'_>, headers: &HeaderMap) -> Vec<(Box<str>, Vec<u8>)> {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let is_sensitive = value.is_sensitive();
        let value = &value.as_bytes()[..value.len().min(MASKED_TEXT)];
        (cut::to_bytes(name.as_str(), TEXT).into(), masker.header(name.as_str(), value, is_sensitive))
    };
    headers.iter().take(HEADERS).map(header).collect()
}

fn bounded(text: &str) -> &str {
    cut::to_bytes(text, MASKED_TEXT)
}

fn text(bytes: Vec<u8>) -> Box<str> {
    cut::to_bytes(&String::from_utf8_lossy(&bytes), TEXT).into()
}

/// Returns the beginning of a body.
fn beginning(mut body: Vec<u8>) -> Vec<u8> {
    if body.len() > BODY {
        body.truncate(BODY);
        body.truncate(whole(&body).len());
    }
    body
}

/// Returns text without a character at its end that is cut off.
fn whole(text: &[u8]) -> &[u8] {
    match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_none() => &text[..error.valid_up_to()],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Version};
    use proptest::prelude::*;
    use reqwest::Url;

    use super::*;
    use crate::engine::recorder::Recorder;
    use crate::metrics::evidence::{Evidence, ResponseEvidence};

    const LINE: &str = r#"{"sequenceID":"x","url":"http://a/items/7","method":"PUT","status":500,"size":12,"timestamp":"2026-11-22T10:05:13Z","duration":30,"error":null}"#;

    fn recorder() -> Recorder {
        Recorder::default().sampling(Some(Masks::from_iter(["x-account", "E-Mail", "name", "filename"])), false)
    }

    /// Name of a header that the load test marks as a secret.
    const SENSITIVE: &str = "x-plain";

    /// Parts of a request and its response as text.
    #[derive(Debug, Clone, Default)]
    struct Parts {
        url: String,
        sent: Vec<(&'static str, String)>,
        sent_body: Vec<u8>,
        received: Vec<(&'static str, String)>,
        received_body: Vec<u8>,
        error: Option<String>,
    }

    /// Returns the sample of a request of these parts.
    fn sampled(parts: &Parts) -> FailureSample {
        let headers = |headers: &[(&'static str, String)]| {
            let header = |(name, value): &(&'static str, String)| {
                let mut value = HeaderValue::from_str(value).unwrap();
                value.set_sensitive(*name == SENSITIVE);
                (HeaderName::from_static(name), value)
            };
            headers.iter().map(header).collect::<HeaderMap>()
        };
        let (sent, received) = (headers(&parts.sent), headers(&parts.received));
        let url: Url = parts.url.parse().unwrap();
        let response = ResponseEvidence { version: Version::HTTP_11, headers: &received, body: &parts.received_body };
        let evidence =
            Evidence { url: &url, headers: Some(&sent), body: Some(&parts.sent_body), response: Some(response) };
        let mut output = OutputRef::parse(LINE).unwrap();
        output.url = parts.url.as_str().into();
        output.error = parts.error.as_deref().map(Into::into);
        output.evidence = Some(&evidence);
        let mut recorder = recorder();
        recorder.output(&output);
        recorder.take().failures.iter().next().unwrap().clone()
    }

    #[test]
    fn first_ten_requests_of_each_route_and_kind_are_sampled() {
        let mut output = OutputRef::parse(LINE).unwrap();
        let mut recorder = recorder();
        let mut taken = 0;
        for _ in 0..3 {
            (0..7).for_each(|_| _ = recorder.output(&output));
            taken += recorder.take().failures.iter().len();
        }
        assert_eq!(taken, PER_KIND, "over all seconds");
        output.error = Some("timeout: operation timed out".into());
        recorder.output(&output);
        output.status = 200;
        output.error = None;
        recorder.output(&output);
        let failures = recorder.take().failures;
        let sample = failures.iter().next().unwrap();
        assert_eq!(
            (failures.iter().len(), sample.kind, &*sample.error),
            (1, ErrorKind::Timeout, "operation timed out")
        );
        assert_eq!((&*sample.label.route, &*sample.label.method), ("/items/{id}", "PUT"));
        assert!(sample.request.is_none() && sample.response.is_none() && sample.trigger.is_none());
        let mut unsampled = Recorder::default();
        unsampled.output(&OutputRef::parse(LINE).unwrap());
        assert_eq!(unsampled.take().failures.iter().len(), 0);
    }

    #[test]
    fn heads_and_the_beginnings_of_bodies_are_kept() {
        let sample = sampled(&Parts {
            url: "http://a/items/7?q=1".to_owned(),
            sent: vec![("content-type", "text/plain".to_owned())],
            sent_body: "é".repeat(2000).into_bytes(),
            received: vec![("content-type", "image/png".to_owned()), ("content-encoding", "gzip".to_owned())],
            received_body: vec![0xff; 10],
            error: None,
        });
        assert_eq!((&*sample.url, &*sample.error, sample.status), ("http://a/items/7?q=1", "status 500", 500));
        let request = sample.request.unwrap();
        assert_eq!((request.body.unwrap().len(), request.length), (BODY, Some(4000)));
        assert_eq!(request.headers, [("content-type".into(), "text/plain".into())]);
        let response = sample.response.unwrap();
        assert_eq!((response.body, response.length), (None, Some(12)), "what is compressed cannot be masked");
        assert_eq!(sample.version.as_deref(), Some("HTTP/1.1"));
    }

    /// Puts a secret somewhere into the parts of a request.
    fn places(secret: String) -> impl Strategy<Value = Parts> {
        let names = ["token", "Api-Key", "PASSWORD", "session_id", "e-mail", "user[secret]", "oauth", "code"];
        let headers = [
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
            "x-api-key",
            "x-account",
            "x-auth-token",
            "x-otp-code",
            SENSITIVE,
        ];
        let forms: Vec<fn(&str, &str) -> String> = vec![
            |name, secret| format!("a=b&{name}={secret}&c=d"),
            |name, secret| format!("{{\"n\":1,\"{name}\":\"{secret}\",\"c\":2}}"),
            |name, secret| format!("[{{\"x\": {{\"{name}\" : \"\\\"{secret}\"}}}}]"),
            |name, secret| format!("{{\"log\":\"{{\\\"{name}\\\":\\\"{secret}\\\"}}\"}}"),
            |name, secret| {
                format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{secret}\r\n--b--\r\n")
            },
            |name, secret| format!("{name}='{secret}' and more"),
            |name, secret| format!("<p>\n{name}{}={secret} and more\n</p>", if name == "code" { "_key" } else { "" }),
            |name, secret| {
                // After other words, codes end at the first space.
                let name = if name == "code" { "key" } else { name };
                format!("{name}=correct horse {secret}\nand more")
            },
            |name, secret| format!("<input type=\"hidden\" name=\"{name}\" value=\"{secret}\">"),
            |name, secret| format!("<input value='{secret}' class=a name='{name}'>"),
            |name, secret| format!("<meta property={name} content={secret}>"),
            |name, secret| format!("see http://h/x?{name}={secret}&y=1"),
            |_, secret| format!("see http://ann:{secret}@h/x"),
            |name, secret| format!("{{\"{name}\": \"{secret}"),
        ];
        let values: Vec<fn(&str) -> String> =
            vec![str::to_owned, |secret| format!("Bearer {secret}"), |secret| format!("a={secret}; Path=/")];
        let urls: Vec<fn(&str, &str) -> String> = vec![
            |name, secret| format!("http://a/items/7?q=1&{name}={secret}&z=2"),
            |name, secret| format!("http://a/items/7#{name}={secret}"),
            |name, secret| format!("http://a/items/7;{name}={secret}"),
            |_, secret| format!("http://ann:{secret}@a/items/7"),
            |name, secret| format!("http://a/?next=http%3A%2F%2Fb%2F%3F{name}%3D{secret}"),
        ];
        let chosen = (
            0..5_usize,
            prop::sample::select(names.to_vec()),
            prop::sample::select(headers.to_vec()),
            prop::sample::select(forms),
            prop::sample::select(values),
            prop::sample::select(urls),
            0..3000_usize,
            any::<bool>(),
        );
        chosen.prop_map(move |(place, name, header, form, value, url, offset, repeats)| {
            let mut parts = Parts { url: "http://a/items/7".to_owned(), ..Parts::default() };
            let body = format!("{{\"filling\":\"{}\"}}", "x".repeat(offset));
            let body = |text: String| {
                // Text of any kind before it, so that it may be at the limit of the body.
                if text.starts_with(['{', '[']) || !text.contains(' ') { text } else { format!("{} {text}", body) }
                    .into_bytes()
            };
            match place {
                0 => parts.url = url(name, &secret),
                1 => parts.sent.push((header, value(&secret))),
                2 => parts.sent_body = body(form(name, &secret)),
                3 => parts.received.push((header, value(&secret))),
                _ => parts.received_body = body(form(name, &secret)),
            }
            if place == 3 && header == "set-cookie" {
                // Before it, so that their attributes are there to be remembered first.
                let cookie = |number| {
                    let attributes = format!("HttpOnly; SameSite=Lax; Path=/shop{number}; Max-Age=8640{number}0");
                    (header, format!("c{number}=value{number}; Expires=Mon, 30 Nov {number}026; {attributes}"))
                };
                parts.received.splice(0..0, (0..30).map(cookie));
            }
            if repeats && place < 4 {
                parts.error = Some(format!("content: no {secret} here"));
                parts.received_body = format!("you sent {secret}, did you?").into_bytes();
            }
            parts
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn secret_is_in_no_sample(
            (secret, parts) in "[A-Za-z0-9_.~-]{8,40}".prop_flat_map(|secret| {
                let secret = format!("s3{secret}");
                (Just(secret.clone()), places(secret))
            }),
        ) {
            let sample = sampled(&parts);
            let mut text = format!("{sample:?}");
            for message in sample.request.iter().chain(&sample.response) {
                text += &String::from_utf8_lossy(message.body.as_deref().unwrap_or_default());
            }
            prop_assert!(!text.contains(&secret), "{}", text);
        }
    }
}
