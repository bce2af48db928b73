//! Steps of journeys, with their phases and their trace context.

use std::sync::Arc;
use std::time::Duration;

use super::snapshot::{label, status};
use super::{WireError, moment, unix_nanoseconds};
use crate::Phases;
use crate::engine::series::Label;
use crate::metrics::journey::{Step, Traced};
use crate::metrics::output::nanoseconds;
use crate::metrics::trace::{SpanId, TraceContext, TraceId};
use crate::pb::engine as pb;

/// Writes a step of the sequence `sequence_id`.
pub(super) fn write(step: &Step<Arc<Label>>, sequence_id: &str) -> pb::Step {
    let (span_id, trace_id) = write_trace(step.trace(), sequence_id);
    pb::Step {
        label: Some((&*step.label).into()),
        started: unix_nanoseconds(step.started),
        duration: nanoseconds(step.duration),
        status: step.status.into(),
        failed: step.failed,
        phases: step.phases().map(write_phases),
        span_id,
        trace_id,
    }
}

/// Reads a step of the sequence `sequence_id`.
///
/// # Errors
///
/// Returns an error if its label is missing, or if its status or an ID is invalid.
pub(super) fn read(written: &pb::Step, sequence_id: &str) -> Result<Step<Arc<Label>>, WireError> {
    Ok(Step {
        label: label(written.label.as_ref())?,
        started: moment(written.started),
        duration: Duration::from_nanos(written.duration),
        status: status(written.status)?,
        failed: written.failed,
        traced: read_trace(&written.span_id, &written.trace_id, sequence_id)?
            .map(|trace| Box::new(Traced { trace, phases: written.phases.as_ref().map(read_phases) })),
    })
}

/// Returns the span ID and the trace ID. The latter is empty if it follows from the sequence ID.
pub(super) fn write_trace(trace: Option<&TraceContext>, sequence_id: &str) -> (Vec<u8>, Vec<u8>) {
    let Some(TraceContext { trace_id, span_id }) = trace else { return Default::default() };
    let other = Some(*trace_id).filter(|trace_id| TraceId::of_sequence(sequence_id) != Some(*trace_id));
    (span_id.bytes().to_vec(), other.map(|trace_id| trace_id.bytes().to_vec()).unwrap_or_default())
}

/// Reads the IDs that [`write_trace`] has written.
///
/// # Errors
///
/// Returns an error if an ID has another length, or if it is missing or zero.
pub(super) fn read_trace(
    span_id: &[u8],
    trace_id: &[u8],
    sequence_id: &str,
) -> Result<Option<TraceContext>, WireError> {
    if span_id.is_empty() {
        return Ok(None);
    }
    let span = span_id.try_into().ok().and_then(SpanId::new);
    let trace = match trace_id {
        [] => TraceId::of_sequence(sequence_id),
        bytes => bytes.try_into().ok().and_then(TraceId::new),
    };
    match (span, trace) {
        (Some(span_id), Some(trace_id)) => Ok(Some(TraceContext { trace_id, span_id })),
        (None, _) => Err(WireError::new(format!("a span ID of {} bytes", span_id.len()))),
        (_, None) => Err(WireError::new(format!("a trace ID of {} bytes", trace_id.len()))),
    }
}

pub(super) fn write_phases(phases: &Phases) -> pb::RequestPhases {
    let Phases { blocked, dns, connecting, tls_handshaking, sending, waiting, receiving } = *phases;
    pb::RequestPhases {
        blocked: nanoseconds(blocked),
        dns: nanoseconds(dns),
        connecting: nanoseconds(connecting),
        tls_handshaking: nanoseconds(tls_handshaking),
        sending: nanoseconds(sending),
        waiting: nanoseconds(waiting),
        receiving: nanoseconds(receiving),
    }
}

pub(super) fn read_phases(written: &pb::RequestPhases) -> Phases {
    let pb::RequestPhases { blocked, dns, connecting, tls_handshaking, sending, waiting, receiving } = *written;
    Phases {
        blocked: Duration::from_nanos(blocked),
        dns: Duration::from_nanos(dns),
        connecting: Duration::from_nanos(connecting),
        tls_handshaking: Duration::from_nanos(tls_handshaking),
        sending: Duration::from_nanos(sending),
        waiting: Duration::from_nanos(waiting),
        receiving: Duration::from_nanos(receiving),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_that_is_the_sequence_id_is_not_written() {
        let sequence = "01234567-89ab-cdef-0123-456789abcdef";
        let span_id = SpanId::new([7; 8]).unwrap();
        for (trace_id, length) in [(TraceId::of_sequence(sequence).unwrap(), 0), (TraceId::new([1; 16]).unwrap(), 16)] {
            let trace = TraceContext { trace_id, span_id };
            let (span, other) = write_trace(Some(&trace), sequence);
            assert_eq!((span.len(), other.len()), (8, length));
            assert_eq!(read_trace(&span, &other, sequence), Ok(Some(trace)));
        }
        assert_eq!(read_trace(&[], &[], sequence), Ok(None));
    }

    #[test]
    fn invalid_ids_are_errors() {
        let wrong = |span: &[u8], trace: &[u8], sequence| read_trace(span, trace, sequence).unwrap_err().to_string();
        assert_eq!(wrong(&[7; 9], &[1; 16], "x"), "a span ID of 9 bytes");
        assert_eq!(wrong(&[0; 8], &[1; 16], "x"), "a span ID of 8 bytes");
        assert_eq!(wrong(&[7; 8], &[1; 3], "x"), "a trace ID of 3 bytes");
        assert_eq!(wrong(&[7; 8], &[], "x"), "a trace ID of 0 bytes");
    }
}
