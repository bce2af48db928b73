//! `-o otlp=URL`: sends metrics and traces to a receiver of the OpenTelemetry protocol (OTLP), over HTTP or gRPC.
//!
//! Data points are cumulative by default: the totals of the run, so a dropped second loses detail and no count. Durations
//! are exponential histograms of scale 9.
//!
//! Source: the OTLP specification 1.x and the semantic conventions for HTTP metrics of OpenTelemetry.

mod grpc;
mod http;
pub mod messages;
pub mod metrics;
mod semantic;
pub mod settings;
mod spans;
pub mod traces;
mod units;

use prost::Message as _;

use super::delivery::{Courier, SendError};
use super::exports::Receiver;
use super::http_courier::shortened;
use crate::support::failure::Failure;
use messages::ExportResponse;
use metrics::MetricsEncoder;
use settings::{Protocol, Settings, Signal, Temporality};
use traces::TracesEncoder;

/// Name of the output.
pub const KIND: &str = "otlp";

/// Opens the output of metrics.
///
/// # Errors
///
/// Returns an error if the URL or a variable is wrong.
pub fn open(argument: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Receiver, Failure> {
    let settings = Settings::read(Signal::Metrics, argument, &variable)?;
    let place = golo::cli::without_secrets(argument).into_owned();
    let encoder = Box::new(MetricsEncoder::new(Temporality::read(&variable)?));
    Ok(Receiver::Pushed { kind: KIND, place, encoder, courier: courier(settings)? })
}

/// Opens the output of traces, which has a queue of its own: some receivers take metrics only.
///
/// # Errors
///
/// Returns an error if the URL or a variable is wrong.
pub fn open_traces(argument: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Receiver, Failure> {
    let settings = Settings::read(Signal::Traces, argument, &variable)?;
    let place = format!("{} (traces)", golo::cli::without_secrets(argument));
    let encoder = Box::<TracesEncoder>::default();
    Ok(Receiver::Pushed { kind: KIND, place, encoder, courier: courier(settings)? })
}

fn courier(settings: Settings) -> Result<Box<dyn Courier>, Failure> {
    Ok(match settings.protocol {
        Protocol::Http => Box::new(http::courier(settings)?),
        Protocol::Grpc => Box::new(grpc::GrpcCourier::new(settings)?),
    })
}

/// Checks the answer to an accepted request. The receiver may have rejected a part of it.
fn check(body: &[u8]) -> Result<(), SendError> {
    // A receiver that answers success in another format has accepted everything, as far as one can know.
    let Some(partial) = ExportResponse::decode(body).ok().and_then(|answer| answer.partial_success) else {
        return Ok(());
    };
    if partial.rejected_data_points <= 0 {
        return Ok(());
    }
    let reason = shortened(&partial.error_message);
    let said = if reason.is_empty() { "it gave no reason" } else { &reason };
    Err(SendError::Partly(format!("it rejected {} of the values of a request: {said}", partial.rejected_data_points)))
}

#[cfg(test)]
mod tests {
    use super::messages::PartialSuccess;
    use super::*;

    #[test]
    fn rejected_part_is_an_error_and_a_warning_is_none() {
        let answer = |rejected, message: &str| {
            let partial_success =
                Some(PartialSuccess { rejected_data_points: rejected, error_message: message.to_owned() });
            check(&ExportResponse { partial_success }.encode_to_vec())
        };
        let rejected = SendError::Partly("it rejected 3 of the values of a request: too old".to_owned());
        assert_eq!(answer(3, "too old\n"), Err(rejected));
        assert_eq!(answer(0, "please use delta"), Ok(()));
        assert_eq!(check(b""), Ok(()));
        assert_eq!(check(b"{}"), Ok(()));
    }
}
