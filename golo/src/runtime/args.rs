//! The command line of a load test.

use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use super::{RPC_ADDR, listener::Address};
use crate::{Loadtest, param};

/// A load test: serves `golo.Job` to whatever triggers it, or triggers itself once
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    call: Option<Call>,
    #[command(flatten)]
    serve: ServeArgs,
}

/// What the command line asks for.
#[derive(Debug, Subcommand)]
pub(super) enum Call {
    /// Serve `golo.Job` until SIGINT or SIGTERM: what a load test does unless told otherwise
    Serve(ServeArgs),
    /// Trigger the load test once and print its Response as JSON
    Once(OnceArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// Where to listen: HOST:PORT (port 0 takes a free one), or unix:PATH
    #[arg(long, value_name = "ADDRESS", env = "GOLO_ADDR", default_value = RPC_ADDR)]
    pub(super) addr: Address,
    /// How long triggers in flight may finish after a signal: 30s, 1m30s, 500ms; a bare number is seconds
    #[arg(long, value_name = "TIME", env = "GOLO_GRACEFUL_STOP", default_value = "30s", value_parser = duration)]
    pub(super) graceful_stop: Duration,
    #[command(flatten)]
    params: Params,
}

#[derive(Debug, clap::Args)]
pub(super) struct OnceArgs {
    /// The job's name, which the load test finds in its Context [default: the load test's name]
    #[arg(long, value_name = "NAME", env = "GOLO_NAME")]
    pub(super) name: Option<String>,
    #[command(flatten)]
    params: Params,
}

#[derive(Debug, clap::Args)]
struct Params {
    /// A parameter for `golo::param` (may be repeated; comes before the environment)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
}

impl Call {
    /// Reads the command line of this process and puts its parameters in place.
    pub(super) fn read(loadtest: &Loadtest) -> Result<Self, clap::Error> {
        let golo = concat!("golo ", env!("CARGO_PKG_VERSION"));
        let version = match &loadtest.version {
            Some(version) => format!("{version} ({golo})"),
            None => format!("({golo})"),
        };
        let command =
            CommandLine::command().name(loadtest.name.clone()).bin_name(loadtest.name.clone()).version(version);
        let line = CommandLine::from_arg_matches(&command.try_get_matches()?)?;
        let call = line.call.unwrap_or(Self::Serve(line.serve));
        let (Self::Serve(ServeArgs { params, .. }) | Self::Once(OnceArgs { params, .. })) = &call;
        param::give(params.env.iter().cloned());
        Ok(call)
    }
}

/// The longest time that can be asked for: beyond it, clocks overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A duration as people write it; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let duration = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?,
        Err(_) => humantime::parse_duration(text)
            .map_err(|error| format!("{error}; write 30s, 1m30s, 500ms, or a number of seconds"))?,
    };
    if duration > LONGEST { Err("longer than a year".to_owned()) } else { Ok(duration) }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "-1", "soon", "5 parsecs", "nan", "inf", "1e300", "366d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_parameter_has_a_key() {
        assert_eq!(pair("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("A="), Ok(("A".to_owned(), String::new())));
        assert!(pair("A").is_err() && pair("=b").is_err());
    }
}
