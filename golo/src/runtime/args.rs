//! Command line of a load test.

use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, error::ErrorKind};

use super::RPC_ADDR;
use super::listener::Address;
use super::refusal::wrong;
use super::run_args::{RunArgs, TransportArgs};
use super::service::WireLayout;
use crate::Loadtest;
use crate::engine::plan::parse_duration;
use crate::loadtest::param;
use crate::run_loop::RunCall;
use crate::support::setting_error::SettingError;
use crate::transport::options::TransportOptions;
use crate::user::member;
use crate::user::share::Share;

/// Run this load test, serve it over gRPC (`golo.Job`), or trigger it once
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve `golo.Job` until SIGINT, SIGTERM or SIGHUP (the default)
    Serve(ServeArgs),
    /// Run the load test with users or at a rate, and print a summary
    Run(Box<RunLine>),
    /// Trigger the load test once, and print its Response as JSON
    Once(OnceArgs),
}

/// Text after the flags of `serve` and `once`.
const VARIABLES: &str = "Every flag of the transport is a variable too: --no-keep-alive is GOLO_NO_KEEP_ALIVE. \
                         A flag comes before its variable.";

#[derive(Debug, Default, clap::Args)]
#[command(after_help = VARIABLES)]
struct ServeArgs {
    /// Address to listen on: HOST:PORT (port 0 takes a free port), or unix:PATH
    /// [env: GOLO_ADDR] [default: 127.0.0.1:9999]
    #[arg(long, value_name = "ADDRESS")]
    addr: Option<Address>,
    /// Time for triggers in flight to finish after a signal: 30s, 1m30s, 500ms; a bare number means seconds
    /// [env: GOLO_GRACEFUL_STOP] [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    graceful_stop: Option<Duration>,
    /// Print errors and warnings only
    /// [env: GOLO_QUIET]
    #[arg(short, long)]
    quiet: bool,
    /// Field layout of responses: `documented` (golo.proto and go-lo's documentation) or `later` (go-lo's last
    /// revision) [env: GOLO_WIRE] [default: documented]
    #[arg(long, value_name = "LAYOUT")]
    wire: Option<WireLayout>,
    #[command(flatten)]
    params: Params,
    #[command(flatten)]
    transport: TransportArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every flag but -e is a variable too: --warm-up is GOLO_WARM_UP. A flag comes before its variable."
)]
struct RunLine {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    params: Params,
}

#[derive(Debug, clap::Args)]
#[command(after_help = VARIABLES)]
struct OnceArgs {
    /// Job name, which the load test receives in its Context
    /// [env: GOLO_NAME] [default: the load test's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Scenario to trigger, of a load test with several [default: one by their weights]
    #[arg(long, value_name = "SCENARIO")]
    scenario: Option<String>,
    #[command(flatten)]
    params: Params,
    #[command(flatten)]
    transport: TransportArgs,
}

#[derive(Debug, Clone, Default, clap::Args)]
struct Params {
    /// Set a parameter for `golo::param`; takes precedence over its environment variable (may be repeated)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
}

/// A parsed command line, completed from the environment.
#[derive(Debug)]
pub(super) enum Call {
    Serve {
        address: Address,
        graceful_stop: Duration,
        transport: TransportOptions,
        share: Share,
        quiet: bool,
        wire: WireLayout,
    },
    Run(Box<RunCall>),
    Once {
        job_name: Option<String>,
        scenario: Option<String>,
        transport: TransportOptions,
    },
}

/// Returns the error message for a kind of output that only the `golo` command has, with the command to type.
fn only_of_command(kind: &str) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "BINARY".to_owned());
    format!("`{kind}=` is an output of the `golo` command: type `golo run {program}` with the same flags")
}

impl Call {
    /// Returns the clap command of a load test.
    pub(super) fn command(loadtest: &Loadtest) -> clap::Command {
        let golo = concat!("golo ", env!("CARGO_PKG_VERSION"));
        let version = match &loadtest.version {
            Some(version) => format!("{version} ({golo})"),
            None => format!("({golo})"),
        };
        let name = loadtest.name.clone();
        CommandLine::command().name(name.clone()).bin_name(name).version(version)
    }

    /// Parses the command line of this process for a load test, and sets its parameters.
    pub(super) fn read(command: &mut clap::Command, loadtest: &Loadtest) -> Result<Self, clap::Error> {
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        let line = CommandLine::from_arg_matches(&matches)?;
        let called = matches.subcommand_name().unwrap_or_default();
        let mut wrong = |error: SettingError| wrong(command, called, ErrorKind::ValueValidation, error.to_string());
        let (call, params) = match line.command.unwrap_or(Command::Serve(line.serve)) {
            Command::Serve(args) => {
                let params = args.params.clone();
                (Self::serve(args, variable).map_err(&mut wrong)?, params)
            }
            Command::Run(line) => {
                let mut call = line.run.into_call(variable).map_err(&mut wrong)?;
                call.transport.check_features().map_err(&mut wrong)?;
                if let Some(load_test) = call.load_test() {
                    let other = load_test.display();
                    return Err(wrong(format!("the job file is for `golo run`: its `binary` is `{other}`").into()));
                }
                if let Some((kind, _)) = call.receivers().next() {
                    return Err(wrong(only_of_command(kind).into()));
                }
                call.complete(loadtest).map_err(|error| wrong(error.to_string().into()))?;
                param::offer(std::mem::take(&mut call.params));
                (Self::Run(Box::new(call)), line.params)
            }
            Command::Once(args) => {
                let transport = args.transport.with_environment(variable).map_err(&mut wrong)?;
                let scenario =
                    loadtest.choose(args.scenario.as_deref()).map_err(|error| wrong(error.to_string().into()))?;
                (Self::Once { job_name: args.name.or_else(|| variable("GOLO_NAME")), scenario, transport }, args.params)
            }
        };
        param::give(params.env);
        Ok(call)
    }

    fn serve(args: ServeArgs, variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingError> {
        let address = match (args.addr, variable("GOLO_ADDR")) {
            (Some(address), _) => address,
            (None, Some(text)) => text.parse().map_err(|error| format!("`GOLO_ADDR` is `{text}`: {error}"))?,
            (None, None) => Address::Tcp(RPC_ADDR.to_owned()),
        };
        let graceful_stop = match (args.graceful_stop, variable("GOLO_GRACEFUL_STOP")) {
            (Some(time), _) => time,
            (None, Some(text)) => {
                parse_duration(&text).map_err(|error| format!("`GOLO_GRACEFUL_STOP` is `{text}`: {error}"))?
            }
            (None, None) => GRACEFUL_STOP,
        };
        let is_on = |name: &str| match variable(name).as_deref() {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(text) => Err(format!("`{name}` is `{text}`: expected 1 or 0")),
        };
        let transport = args.transport.with_environment(&variable)?;
        let share = variable(member::VARIABLE).map_or(Ok(Share::WHOLE), |text| member::parse(&text))?;
        let wire = match (args.wire, variable("GOLO_WIRE")) {
            (Some(wire), _) => wire,
            (None, Some(text)) => text.parse().map_err(|error| format!("`GOLO_WIRE` is `{text}`: {error}"))?,
            (None, None) => WireLayout::default(),
        };
        Ok(Self::Serve { address, graceful_stop, transport, share, quiet: is_on("GOLO_QUIET")? || args.quiet, wire })
    }
}

/// Returns the value of an environment variable. An empty one counts as unset.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(|value| value.to_string_lossy().into_owned())
}

/// Default time for triggers in flight to finish.
const GRACEFUL_STOP: Duration = Duration::from_secs(30);

/// Parses `KEY=VALUE`.
///
/// # Errors
///
/// Returns an error if there is no key or no `=`.
pub fn pair(text: &str) -> Result<(String, String), SettingError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::proxy::Proxy;

    #[test]
    fn command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn flag_takes_precedence_over_variable_and_default() {
        let serve = |address: Option<&str>, value: Option<&str>| {
            let addr = address.map(|address| address.parse().unwrap());
            Call::serve(ServeArgs { addr, ..ServeArgs::default() }, |name| {
                (name == "GOLO_ADDR").then(|| value.map(str::to_owned)).flatten()
            })
        };
        let address = |call| match call {
            Ok(Call::Serve { address, graceful_stop: GRACEFUL_STOP, .. }) => address.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(address(serve(Some("[::1]:1"), Some("nonsense"))), "[::1]:1");
        assert_eq!(address(serve(None, Some("[::1]:2"))), "[::1]:2");
        assert_eq!(address(serve(None, None)), RPC_ADDR);
        let error = serve(None, Some("nonsense")).unwrap_err().to_string();
        assert!(error.starts_with("`GOLO_ADDR` is `nonsense`: expected HOST:PORT"), "{error}");
        let serve = |variable: fn(&str) -> Option<String>| Call::serve(ServeArgs::default(), variable);
        let error = serve(|name| (name != "GOLO_ADDR").then(|| "soon".to_owned())).unwrap_err().to_string();
        assert!(error.starts_with("`GOLO_GRACEFUL_STOP` is `soon`: "), "{error}");
        let error = serve(|name| (name == "GOLO_SHARE").then(|| "3/3".to_owned())).unwrap_err().to_string();
        assert!(error.starts_with("`GOLO_SHARE` is `3/3`: expected an index from 0"), "{error}");
        let shared = serve(|name| (name == "GOLO_SHARE").then(|| "1/3".to_owned())).unwrap();
        assert!(matches!(shared, Call::Serve { share, .. } if (share.index(), share.of()) == (1, 3)));
        let insecure = serve(|name| (name == "GOLO_INSECURE").then(|| "1".to_owned())).unwrap();
        assert!(
            matches!(insecure, Call::Serve { transport, quiet: false, .. } if transport.insecure && !transport.no_keep_alive)
        );
        let quiet = serve(|name| (name == "GOLO_QUIET").then(|| "true".to_owned())).unwrap();
        assert!(matches!(quiet, Call::Serve { quiet: true, .. }));
        let later = serve(|name| (name == "GOLO_WIRE").then(|| "later".to_owned())).unwrap();
        assert!(matches!(later, Call::Serve { wire: WireLayout::Later, .. }));
        let error = serve(|name| (name == "GOLO_WIRE").then(|| "v2".to_owned())).unwrap_err().to_string();
        assert_eq!(error, "`GOLO_WIRE` is `v2`: expected `documented` or `later`");
        let proxied = serve(|name| (name == "GOLO_PROXY").then(|| "env".to_owned())).unwrap();
        assert!(matches!(proxied, Call::Serve { transport, .. } if transport.proxy == Proxy::Environment));
        let error = serve(|name| (name == "GOLO_PROXY").then(|| "http://ann:secret@h/path".to_owned()))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "`GOLO_PROXY`: `http://h/path`: expected `env`, `none`, or a URL as in `http://127.0.0.1:3128`"
        );
        let error = serve(|name| (name == "GOLO_NO_KEEP_ALIVE").then(|| "yes".to_owned())).unwrap_err().to_string();
        assert_eq!(error, "`GOLO_NO_KEEP_ALIVE` is `yes`: expected 1 or 0");
    }

    #[test]
    fn help_has_flags_of_transport_under_their_heading() {
        let mut command = CommandLine::command().term_width(80);
        command.build();
        for name in ["run", "serve", "once"] {
            let help = command.find_subcommand_mut(name).unwrap().render_help().to_string();
            let (_, transport) = help.split_once("\nTransport:\n").unwrap();
            for flag in ["--connections <", "--http <", "--proxy <", "--insecure", "--no-keep-alive", "--tls-max <"] {
                assert!(transport.contains(flag), "{name} {flag}: {help}");
            }
            assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        }
    }

    #[test]
    fn pair_requires_a_key() {
        assert_eq!(pair("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("A="), Ok(("A".to_owned(), String::new())));
        assert!(pair("A").is_err() && pair("=b").is_err());
    }
}
