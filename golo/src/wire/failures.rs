//! Samples of failed requests.

use std::time::Duration;

use super::snapshot::{kind, label, status};
use super::{WireError, moment, steps, unix_nanoseconds};
use crate::engine::failures::{BODY, FailureSample, HEADERS, SampledMessage, TEXT};
use crate::metrics::journey::STEPS;
use crate::metrics::output::nanoseconds;
use crate::pb::engine as pb;
use crate::support::cut;

pub(super) fn write(sample: &FailureSample) -> pb::Failure {
    let (span_id, trace_id) = steps::write_trace(sample.trace.as_ref(), &sample.sequence_id);
    pb::Failure {
        at: unix_nanoseconds(sample.at),
        label: Some((&*sample.label).into()),
        url: sample.url.to_string(),
        redirected_to: sample.redirected_to.as_deref().map(str::to_owned),
        kind: pb::ErrorKind::from(sample.kind).into(),
        error: sample.error.to_string(),
        status: sample.status.into(),
        version: sample.version.as_deref().map(str::to_owned),
        duration: nanoseconds(sample.duration),
        phases: sample.phases.as_ref().map(steps::write_phases),
        request: sample.request.as_ref().map(write_message),
        response: sample.response.as_ref().map(write_message),
        sequence_id: sample.sequence_id.to_string(),
        user: sample.trigger.map(|(user, _)| user),
        iteration: sample.trigger.map(|(_, iteration)| iteration),
        steps: sample.steps.iter().map(|step| steps::write(step, &sample.sequence_id)).collect(),
        further_steps: sample.further_steps,
        span_id,
        trace_id,
    }
}

/// Returns the sample of a message, with its texts and headers cut to the limits.
///
/// # Errors
///
/// Returns an error if its label is missing, if a status is invalid, or if more is kept than is allowed.
pub(super) fn read(written: &pb::Failure) -> Result<FailureSample, WireError> {
    if written.steps.len() > STEPS {
        return Err(WireError::new(format!("a failed request with {} steps", written.steps.len())));
    }
    let sequence_id = &written.sequence_id;
    Ok(FailureSample {
        at: moment(written.at),
        label: label(written.label.as_ref())?,
        url: text(&written.url),
        redirected_to: written.redirected_to.as_deref().map(text),
        kind: kind(written.kind),
        error: text(&written.error),
        status: status(written.status)?,
        version: written.version.as_deref().map(text),
        duration: Duration::from_nanos(written.duration),
        phases: written.phases.as_ref().map(steps::read_phases),
        request: written.request.as_ref().map(read_message).transpose()?,
        response: written.response.as_ref().map(read_message).transpose()?,
        sequence_id: text(sequence_id),
        trace: steps::read_trace(&written.span_id, &written.trace_id, sequence_id)?,
        trigger: written.user.zip(written.iteration),
        steps: written.steps.iter().map(|written| steps::read(written, sequence_id)).collect::<Result<_, _>>()?,
        further_steps: written.further_steps,
    })
}

fn text(text: &str) -> Box<str> {
    cut::to_bytes(text, TEXT).into()
}

fn write_message(message: &SampledMessage) -> pb::FailureMessage {
    let header =
        |(name, value): &(Box<str>, Box<str>)| pb::FailureHeader { name: name.to_string(), value: value.to_string() };
    pb::FailureMessage {
        headers: message.headers.iter().map(header).collect(),
        body: message.body.clone(),
        length: message.length,
    }
}

fn read_message(written: &pb::FailureMessage) -> Result<SampledMessage, WireError> {
    let length = written.body.as_ref().map_or(0, Vec::len);
    if length > BODY {
        return Err(WireError::new(format!("{length} bytes of a body of a failed request")));
    }
    let header = |header: &pb::FailureHeader| (text(&header.name), text(&header.value));
    Ok(SampledMessage {
        headers: written.headers.iter().take(HEADERS).map(header).collect(),
        body: written.body.clone(),
        length: written.length,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Phases;
    use crate::engine::errors::ErrorKind;
    use crate::engine::failures::SAMPLES;
    use crate::engine::series::Label;
    use crate::engine::slowest::{SpanId, TraceContext, TraceId, Traced};
    use crate::engine::snapshot::Snapshot;
    use crate::metrics::journey::Step;

    /// Returns a sample with values in all fields.
    fn sample() -> FailureSample {
        let label = Arc::new(Label::new("http://a", "/items/{id}", "PUT"));
        let (trace_id, span_id) = (TraceId::new([5; 16]).unwrap(), SpanId::new([6; 8]).unwrap());
        let trace = TraceContext { trace_id, span_id };
        let step = Step::plain(Arc::clone(&label), moment(7), Duration::from_nanos(8), false);
        let header = ("content-type".into(), "text/plain".into());
        let phases = Phases { dns: Duration::from_nanos(3), receiving: Duration::from_nanos(4), ..Phases::default() };
        FailureSample {
            at: moment(1),
            label,
            url: "http://a/items/7".into(),
            redirected_to: Some("http://a/login".into()),
            kind: ErrorKind::Content,
            error: "out of stock".into(),
            status: 200,
            version: Some("HTTP/2.0".into()),
            duration: Duration::from_nanos(9),
            phases: Some(phases),
            request: Some(SampledMessage { headers: vec![header], body: None, length: None }),
            response: Some(SampledMessage { headers: Vec::new(), body: Some(vec![0, 255]), length: Some(70) }),
            sequence_id: "x".into(),
            trace: Some(trace),
            trigger: Some((2, 3)),
            steps: vec![Step { status: 201, traced: Some(Box::new(Traced { trace, phases: Some(phases) })), ..step }],
            further_steps: 5,
        }
    }

    #[test]
    fn written_sample_reads_as_equal() {
        let bare = FailureSample {
            redirected_to: None,
            version: None,
            phases: None,
            request: None,
            response: None,
            trace: None,
            trigger: None,
            steps: Vec::new(),
            ..sample()
        };
        for sample in [sample(), bare] {
            let mut snapshot = Snapshot::default();
            snapshot.failures.extend([sample.clone()]);
            let read = Snapshot::try_from(&pb::Snapshot::from(&snapshot)).unwrap();
            assert_eq!(read.failures.iter().collect::<Vec<_>>(), [&sample]);
        }
    }

    #[test]
    fn sample_that_is_too_large_is_an_error() {
        let wrong = |written: &pb::Failure| read(written).unwrap_err().to_string();
        let good = write(&sample());
        assert_eq!(wrong(&pb::Failure { label: None, ..good.clone() }), "no label");
        assert_eq!(wrong(&pb::Failure { status: 70_000, ..good.clone() }), "the status 70000");
        let steps = vec![good.steps[0].clone(); STEPS + 1];
        assert_eq!(wrong(&pb::Failure { steps, ..good.clone() }), "a failed request with 65 steps");
        let large = pb::FailureMessage { body: Some(vec![0; BODY + 1]), ..pb::FailureMessage::default() };
        assert_eq!(wrong(&pb::Failure { request: Some(large), ..good }), "2049 bytes of a body of a failed request");
    }

    #[test]
    fn texts_and_headers_are_cut_to_the_limits() {
        let good = write(&sample());
        let long = || "é".repeat(TEXT);
        let label = pb::Label { origin: long(), route: long(), method: long(), ..good.label.clone().unwrap() };
        let header = pb::FailureHeader { name: long(), value: long() };
        let message = pb::FailureMessage { headers: vec![header; HEADERS + 1], ..pb::FailureMessage::default() };
        let written = pb::Failure {
            label: Some(label.clone()),
            url: long(),
            redirected_to: Some(long()),
            error: long(),
            version: Some(long()),
            sequence_id: long(),
            steps: vec![pb::Step { label: Some(label), ..good.steps[0].clone() }],
            request: Some(message),
            ..good
        };
        let read = read(&written).unwrap();
        let request = read.request.unwrap();
        assert_eq!(request.headers.len(), HEADERS);
        let of_label = |label: &Label| [&label.origin, &label.route, &label.method].map(|text| text.len());
        let cut = "é".repeat(148).len() + "…".len();
        assert_eq!([of_label(&read.label), of_label(&read.steps[0].label)], [[cut; 3]; 2]);
        let (name, value) = &request.headers[0];
        let (redirected_to, version) = (read.redirected_to.unwrap(), read.version.unwrap());
        for text in [&read.url, &redirected_to, &read.error, &version, &read.sequence_id, name, value] {
            assert_eq!(text.len(), TEXT);
        }
    }

    #[test]
    fn number_of_samples_is_limited() {
        let failures = |number: usize| {
            let labelled = |at: usize| {
                let route = format!("/{}", at % 500);
                let label = pb::Label { route, ..write(&sample()).label.unwrap() };
                // The last one is invalid, so that it is an error to read it.
                let status = if at == SAMPLES { 70_000 } else { 200 };
                pb::Failure { label: Some(label), status, ..write(&sample()) }
            };
            let failures = (0..number).map(labelled).collect();
            let written = pb::Snapshot { failures, ..pb::Snapshot::from(&Snapshot::default()) };
            Snapshot::try_from(&written).unwrap().failures.iter().len()
        };
        assert_eq!([failures(SAMPLES), failures(SAMPLES + 1)], [SAMPLES; 2]);
    }
}
