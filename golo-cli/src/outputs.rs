//! Metrics outputs of the command `golo`, beside those of every load test: the store, and receivers of metrics.

pub mod buckets;
pub mod delivery;
pub mod exports;
pub mod exposition;
pub mod families;
pub mod frame;
pub mod http_courier;
pub mod influxdb;
pub mod line_protocol;
pub mod otlp;
pub mod prometheus;
pub mod remote_write;
pub mod scrape;
pub mod store;
pub mod web;

use golo::cli::RunCall;
use golo::report::MetricsOutput;

use crate::http::server::{Secret, Token};
use crate::support::failure::Failure;
use exports::{Exports, Hurry, Receiver};
use frame::RunLabels;
use scrape::EndpointOptions;
use web::WebOutput;

/// Returns the outputs of a run: the store, the receivers of its metrics, and its web page, if there are any.
#[must_use]
pub fn of_run(
    store: Option<impl MetricsOutput + 'static>,
    exports: Option<Exports>,
    web: Option<WebOutput>,
) -> Vec<Box<dyn MetricsOutput>> {
    let mut outputs: Vec<Box<dyn MetricsOutput>> = Vec::new();
    outputs.extend(store.map(|store| Box::new(store) as Box<dyn MetricsOutput>));
    outputs.extend(web.map(|web| Box::new(web) as Box<dyn MetricsOutput>));
    outputs.extend(exports.map(|exports| Box::new(exports) as Box<dyn MetricsOutput>));
    outputs
}

/// Returns true if an output of this call sends samples of failed requests: as traces, if requests have trace IDs.
#[must_use]
pub fn needs_failures(call: &RunCall) -> bool {
    call.transport().traceparent && call.receivers().any(|(kind, _)| kind == otlp::KIND)
}

/// Opens the receivers of a run: pairs of a kind and an argument, as [`receivers`](golo::cli::RunCall::receivers) returns
/// them. Returns `None` if there are none.
///
/// # Errors
///
/// Returns an error if an argument or a variable is wrong, or if an endpoint cannot listen.
pub fn open<'a>(
    receivers: impl Iterator<Item = (&'static str, &'a str)>,
    labels: RunLabels,
    variable: impl Fn(&str) -> Option<String>,
    hurry: Hurry,
) -> Result<Option<Exports>, Failure> {
    let receivers: Vec<_> = receivers.collect();
    let metrics = receivers.iter().map(|(kind, argument)| receiver(kind, argument, &variable));
    let of_traces = receivers.iter().filter(|(kind, _)| *kind == otlp::KIND);
    let traces = of_traces.map(|(_, argument)| otlp::open_traces(argument, &variable));
    let opened = metrics.chain(traces).collect::<Result<Vec<_>, _>>()?;
    if opened.is_empty() { Ok(None) } else { Exports::start(labels, opened, hurry).map(Some) }
}

fn receiver(kind: &str, argument: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<Receiver, Failure> {
    match kind {
        scrape::KIND => {
            let token = variable(scrape::TOKEN).map(|token| Token::new(&Secret::from(token))).transpose();
            let token = token.map_err(|error| Failure::from(format!("`{}` {error}", scrape::TOKEN)))?;
            Ok(Receiver::Scraped(EndpointOptions { addr: argument.to_owned(), token }))
        }
        remote_write::KIND => remote_write::open(argument, variable),
        otlp::KIND => otlp::open(argument, variable),
        influxdb::KIND => influxdb::open(argument, variable),
        _ => Err(format!("`--out {kind}=…` is not an output of this golo").into()),
    }
}
