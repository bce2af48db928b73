//! Settings of `run`: from flags, environment variables, a job file, and defaults.

mod flags;
mod keys;
mod transport;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args, Command};

pub use self::flags::OwnFlags;
pub(super) use self::flags::{Flag, flags};
pub(super) use self::transport::TransportArgs;

use super::job_file::{JobFile, Mistake, Value, toml};
use crate::engine::Options;
use crate::engine::plan::{Arrivals, Asked, Plan, Rate, ScenarioArg, ScenarioRequest, Stage, parse_duration};
use crate::report::OutputArg;
use crate::report::Threshold;
use crate::run_loop::RunCall;
use crate::support::setting_error::SettingError;
use crate::transport::options::variable_of;
use crate::user::data_file::DataFile;

/// The flags of `run` as given, and the flags that a command has in addition.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs<T: OwnFlags = ()> {
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    how: HowArgs,
    #[command(flatten)]
    transport: TransportArgs,
    #[command(flatten)]
    own: T,
}

/// Flags for the load.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Load")]
struct LoadArgs {
    /// Closed model: N concurrent users; each starts its next trigger when the last one ends [default: 25]
    #[arg(short, long, value_name = "N")]
    users: Option<u64>,
    /// Closed model: start each user's triggers at least this time apart
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pace: Option<Duration>,
    /// Open model: start triggers at this rate, independent of the target: 500/s, 90/m, 10/h
    #[arg(short, long, value_name = "RATE")]
    rate: Option<Rate>,
    /// Open model: spacing of starts, constant or poisson [default: constant]
    #[arg(long, value_name = "SPACING")]
    arrivals: Option<Arrivals>,
    /// Open model: maximum triggers in flight; starts beyond it are dropped and counted [default: 10000]
    #[arg(long, value_name = "N")]
    max_users: Option<u64>,
    /// Ramp to a number of users or a rate in this time: 30s:100, 1m:500/s (may be repeated, or a list with commas)
    #[arg(short, long = "stage", value_name = "TIME:LOAD", value_delimiter = ',')]
    stage: Vec<Stage>,
    /// Length of the run: 30s, 1h30m, 500ms; a bare number means seconds [default: 10s, or until the iterations are
    /// done]
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Stop after this number of triggers in total
    #[arg(short, long, value_name = "N")]
    iterations: Option<u64>,
    /// Run the opening load for this time first, without measuring it [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    warm_up: Option<Duration>,
    /// Time for triggers in flight to finish at the end; those cut off count as interrupted [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    graceful_stop: Option<Duration>,
}

/// Flags for the verdict of a run, and for what is written about it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct OutcomeArgs {
    /// Exit with 99 unless this holds: 'http_req_duration p(95)<200ms', 'http_req_failed rate<5% over 30s' (may be
    /// repeated)
    #[arg(short, long, value_name = "EXPR")]
    threshold: Vec<Threshold>,
    /// Stop as soon as a threshold can no longer hold
    #[arg(long, action = ArgAction::SetTrue)]
    abort_on_fail: bool,
    /// Write results (may be repeated): summary=FILE.json, html=FILE.html, junit=FILE.xml, csv=PREFIX,
    /// failures=FILE.jsonl with samples of failed requests, or jsonl=FILE with one line per request; jsonl=- writes to
    /// stdout, and the summary then goes to stderr
    #[arg(short, long, value_name = "TYPE=ARG")]
    out: Vec<OutputArg>,
    /// Print the summary, errors and warnings only
    #[arg(short, long, action = ArgAction::SetTrue)]
    quiet: bool,
    /// Print no progress during the run
    #[arg(long, action = ArgAction::SetTrue)]
    no_progress: bool,
}

/// Flags for the run and its results.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Run")]
struct HowArgs {
    #[command(flatten)]
    outcome: OutcomeArgs,
    /// Settings of a scenario, which override the load test's (may be repeated): a weight, or a load of its own:
    /// buy:weight=5, buy:users=5,start=30s, buy:rate=10/s
    #[arg(long, value_name = "NAME:KEY=VALUE,…", help_heading = "Load")]
    scenario: Vec<ScenarioArg>,
    /// Run this scenario only
    #[arg(long, value_name = "SCENARIO", help_heading = "Load")]
    only: Option<String>,
    /// Job name, which the load test receives in its Context [default: the load test's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Number of worker threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Seed of random choices; the same seed leads to the same choices [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Longest delay of starts before the run is INVALID [default: 10ms, or a tenth of the time between two starts]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    max_lag: Option<Duration>,
    /// Mask this header, query parameter or field in samples of failed requests, beside well-known ones (may be repeated)
    #[arg(long, value_name = "NAME")]
    mask: Vec<String>,
    /// File that the load test reads, below the current folder (may be repeated, or a list with commas); `golo submit`
    /// sends it along to the agents, where it has the same path
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    data: Vec<DataFile>,
    /// Read settings that no flag sets from a job file: TOML with the flags' names as keys (`golo run` also reads YAML)
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl RunArgs {
    /// Completes these flags from the environment, then from the job file, then with the defaults.
    ///
    /// # Errors
    ///
    /// Returns a message about the setting that is invalid, and what was expected.
    pub fn into_call(self, variable: impl Fn(&str) -> Option<String>) -> Result<RunCall, SettingError> {
        self.into_call_with(variable, parse_file).map(|(call, ())| call)
    }
}

/// Parses a job file of a load test's own `run`.
fn parse_file(path: &Path, text: &str) -> Result<Value, Mistake> {
    let is_yaml = ["yaml", "yml"]
        .iter()
        .any(|name| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(name)));
    toml(text).map_err(|mistake| match is_yaml {
        true => Mistake { message: "expected TOML: only `golo run` reads YAML".to_owned(), place: None },
        false => mistake,
    })
}

impl<T: OwnFlags> RunArgs<T> {
    /// Sets the job file.
    ///
    /// # Errors
    ///
    /// Returns an error if the flags name another job file.
    pub fn with_file(mut self, path: &Path) -> Result<Self, SettingError> {
        match &self.how.file {
            Some(other) => {
                let (path, other) = (path.display(), other.display());
                Err(format!("`{path}` and `--file {other}` are two job files: use only one of them").into())
            }
            None => {
                self.how.file = Some(path.to_owned());
                Ok(self)
            }
        }
    }

    /// Completes these flags from the environment, then from the job file (read by `parse`), then with the defaults.
    ///
    /// # Errors
    ///
    /// Returns a message about the setting that is invalid, and what was expected.
    pub fn into_call_with(
        self,
        variable: impl Fn(&str) -> Option<String>,
        parse: impl FnOnce(&Path, &str) -> Result<Value, Mistake>,
    ) -> Result<(RunCall, T), SettingError> {
        let (environment, off) = Self::of_environment(variable)?;
        let said = self.with_load_of_only()?.over(environment);
        let Some(path) = said.how.file.clone() else { return said.into_call_with_data(Vec::new(), None) };
        let JobFile { args, params, binary } = JobFile::read(&path, &off, parse)?;
        let call = said.over(args).into_call_with_data(params, binary);
        call.map_err(|error| format!("with `{}`: {error}", path.display()).into())
    }

    /// Gives the load of these flags to the only scenario that is to run, so that it comes before the scenario's own.
    fn with_load_of_only(mut self) -> Result<Self, SettingError> {
        let asked = self.load.clone().into_asked();
        if let Some(only) = self.how.only.as_ref().filter(|_| asked.asks_for_load()) {
            let own = ScenarioArg::of_load(only, &asked).map_err(|error| error.to_string())?;
            self.how.scenario.extend(own);
        }
        Ok(self)
    }

    /// Completes these flags with the defaults only, and checks that the files of test data can be read.
    fn into_call_with_data(
        self,
        params: Vec<(String, String)>,
        load_test: Option<PathBuf>,
    ) -> Result<(RunCall, T), SettingError> {
        let (call, own) = self.into_call_with_params(params, load_test)?;
        let checked = DataFile::check_names(&call.data).and_then(|()| call.data.iter().try_for_each(DataFile::check));
        checked.map_err(|error| format!("`--data`: {error}"))?;
        Ok((call, own))
    }

    /// Completes these flags with the defaults only.
    pub(super) fn into_call_with_params(
        self,
        params: Vec<(String, String)>,
        load_test: Option<PathBuf>,
    ) -> Result<(RunCall, T), SettingError> {
        let Self { load, mut how, transport, own } = self;
        let outcome = std::mem::take(&mut how.outcome);
        how.data.sort_unstable();
        how.data.dedup();
        let asked = load.into_asked();
        let scenarios =
            ScenarioRequest { settings: how.scenario, only: how.only, load_is_asked: asked.asks_for_load() };
        let call = RunCall {
            plan: Plan::new(asked.clone()).map_err(|error| error.to_string())?,
            scenarios,
            asked,
            job_name: how.name,
            workers: how.workers.map(usize::from),
            seed: how.seed.unwrap_or_default(),
            max_lag: how.max_lag,
            transport: transport.into_options()?,
            thresholds: outcome.threshold,
            abort_on_fail: outcome.abort_on_fail,
            out: outcome.out,
            masks: how.mask.into_iter().collect(),
            keeps_failures: false,
            data: how.data,
            params,
            load_test,
            quiet: outcome.quiet,
            progress: !outcome.quiet && !outcome.no_progress,
        };
        Ok((call, own))
    }

    /// Reads flags from environment variables. Also returns the flags that are turned off.
    fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<(Self, Vec<String>), SettingError> {
        let mut all = Vec::new();
        let mut off = Vec::new();
        for flag in flags::<T>() {
            let name = variable_of(&flag.name);
            let Some(value) = variable(&name) else { continue };
            let wrong = |why: &str| format!("`{name}` is `{value}`: {why}");
            let argument = match (flag.takes_value, &*value) {
                (true, _) => format!("--{}={value}", flag.name),
                (false, "1" | "true") => format!("--{}", flag.name),
                (false, "0" | "false") => {
                    off.push(flag.name);
                    continue;
                }
                (false, _) => return Err(wrong("expected 1 or 0").into()),
            };
            let parsed = Self::parse(std::slice::from_ref(&argument)).map_err(|error| wrong(&error.to_string()))?;
            // Its value may contain a password.
            parsed.transport.read_proxy().map_err(|error| format!("`{name}`: {error}"))?;
            all.push(argument);
        }
        Ok((Self::parse(&all)?, off))
    }

    /// Returns these flags, with those that are not set taken from `below`.
    fn over(self, below: Self) -> Self {
        Self {
            load: self.load.over(below.load),
            how: self.how.over(below.how),
            transport: self.transport.over(below.transport),
            own: self.own.over(below.own),
        }
    }
}

impl LoadArgs {
    fn over(self, below: Self) -> Self {
        self.into_asked().over(below.into_asked()).into()
    }

    fn into_asked(self) -> Asked {
        Asked {
            users: self.users,
            pace: self.pace,
            rate: self.rate,
            arrivals: self.arrivals,
            max_users: self.max_users,
            stages: self.stage,
            duration: self.duration,
            iterations: self.iterations,
            warm_up: self.warm_up,
            graceful_stop: self.graceful_stop,
        }
    }
}

impl From<Asked> for LoadArgs {
    fn from(asked: Asked) -> Self {
        Self {
            users: asked.users,
            pace: asked.pace,
            rate: asked.rate,
            arrivals: asked.arrivals,
            max_users: asked.max_users,
            stage: asked.stages,
            duration: asked.duration,
            iterations: asked.iterations,
            warm_up: asked.warm_up,
            graceful_stop: asked.graceful_stop,
        }
    }
}

impl OutcomeArgs {
    fn over(self, below: Self) -> Self {
        Self {
            threshold: if self.threshold.is_empty() { below.threshold } else { self.threshold },
            abort_on_fail: self.abort_on_fail || below.abort_on_fail,
            out: if self.out.is_empty() { below.out } else { self.out },
            quiet: self.quiet || below.quiet,
            no_progress: self.no_progress || below.no_progress,
        }
    }

    /// Completes these flags from the environment, then with the defaults. The result describes a run that was started
    /// before, with this plan and these options, by its job. `own` are the flags that the command has in addition.
    ///
    /// # Errors
    ///
    /// Returns a message about the setting that is invalid, and what was expected.
    pub fn into_call_of<T: OwnFlags>(
        self,
        own: T,
        variable: impl Fn(&str) -> Option<String>,
        (plan, options, thresholds): (Plan, Options, Vec<Threshold>),
    ) -> Result<(RunCall, T), SettingError> {
        let flags = T::augment_args(Self::augment_args(Command::new("")));
        let names: Vec<_> = flags.get_arguments().filter_map(clap::Arg::get_long).map(variable_of).collect();
        let known = |name: &str| names.iter().find(|own| *own == name).and_then(|_| variable(name));
        let (environment, _) = RunArgs::<T>::of_environment(known)?;
        let how = HowArgs { outcome: self, ..HowArgs::default() };
        let said = RunArgs { how, own, load: LoadArgs::default(), transport: TransportArgs::default() };
        let (mut call, own) = said.over(environment).into_call_with_params(Vec::new(), None)?;
        let further: Vec<_> = call.thresholds.drain(..).filter(|further| !thresholds.contains(further)).collect();
        call.thresholds = [thresholds, further].concat();
        let Options { job_name, workers, seed, share: _, max_lag } = options;
        (call.plan, call.job_name, call.workers) = (plan, Some(job_name), Some(workers));
        (call.seed, call.max_lag) = (seed, max_lag);
        Ok((call, own))
    }
}

impl HowArgs {
    fn over(self, below: Self) -> Self {
        Self {
            outcome: self.outcome.over(below.outcome),
            name: self.name.or(below.name),
            workers: self.workers.or(below.workers),
            seed: self.seed.or(below.seed),
            max_lag: self.max_lag.or(below.max_lag),
            scenario: [below.scenario, self.scenario].concat(),
            only: self.only.or(below.only),
            mask: if self.mask.is_empty() { below.mask } else { self.mask },
            data: if self.data.is_empty() { below.data } else { self.data },
            file: self.file.or(below.file),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use clap::Parser;

    use super::*;

    /// Returns the resulting plan as text.
    pub(in crate::runtime) fn plan_of(args: RunArgs) -> String {
        args.into_call(|_| None).unwrap().plan.to_string()
    }

    pub(super) fn call(flags: &[&str], environment: &[(&str, &str)]) -> Result<RunCall, SettingError> {
        #[derive(Parser)]
        #[command(no_binary_name = true)]
        struct Line {
            #[command(flatten)]
            run: RunArgs,
        }
        let environment: HashMap<_, _> = environment.iter().copied().collect();
        let line = Line::try_parse_from(flags).map_err(|error| error.to_string())?;
        line.run.into_call(|name| environment.get(name).map(|value| (*value).to_owned()))
    }

    fn plan(flags: &[&str], environment: &[(&str, &str)]) -> String {
        call(flags, environment).map_or_else(Into::into, |call| call.plan.to_string())
    }

    #[test]
    fn flags_take_precedence_over_environment_and_defaults() {
        assert_eq!(plan(&[], &[]), plan(&["-u", "25", "-d", "10s"], &[]));
        assert_eq!(plan(&[], &[("GOLO_USERS", "7")]), plan(&["-u", "7"], &[]));
        assert_eq!(
            plan(&["-u", "3"], &[("GOLO_USERS", "7"), ("GOLO_DURATION", "5s")]),
            plan(&["-u", "3", "-d", "5"], &[])
        );
        assert_eq!(call(&[], &[("GOLO_SEED", "9")]).unwrap().seed, 9);
        let quiet = call(&[], &[("GOLO_QUIET", "1"), ("GOLO_INSECURE", "0")]).unwrap();
        assert!(quiet.quiet && !quiet.progress && !quiet.transport.insecure);
    }

    #[test]
    fn contradicted_settings_of_lower_precedence_are_ignored() {
        assert_eq!(plan(&["-r", "5/s"], &[("GOLO_USERS", "7"), ("GOLO_PACE", "1s")]), plan(&["-r", "5/s"], &[]));
        assert_eq!(plan(&["-u", "5"], &[("GOLO_RATE", "7/s"), ("GOLO_ARRIVALS", "poisson")]), plan(&["-u", "5"], &[]));
        assert_eq!(plan(&["-s", "1s:5"], &[("GOLO_DURATION", "7s")]), plan(&["-s", "1s:5"], &[]));
        assert_eq!(plan(&["-d", "5s"], &[("GOLO_STAGE", "1s:5,2s:0")]), plan(&["-d", "5s"], &[]));
    }

    #[test]
    fn settings_of_a_run_that_was_started_before_are_kept() {
        let started = call(&["-u", "7", "-d", "3", "--seed", "5", "-t", "iterations count>1"], &[]).unwrap();
        let told = (started.plan.clone(), started.options("shop"), started.thresholds.clone());
        let further = ["iterations count>1", "iterations count<9"].map(|text| text.parse().unwrap());
        let flags = OutcomeArgs { threshold: further.to_vec(), ..OutcomeArgs::default() };
        // The load of other runs may be set in the environment.
        let variable = |name: &str| match name {
            "GOLO_USERS" | "GOLO_QUIET" => Some("1".to_owned()),
            "GOLO_FILE" => Some("/none".to_owned()),
            _ => None,
        };
        let (call, ()) = flags.into_call_of((), variable, told).unwrap();
        assert_eq!((&call.plan, &call.thresholds[..]), (&started.plan, &further[..]));
        assert_eq!((call.options("other"), call.quiet), (started.options("shop"), true));
    }

    #[test]
    fn stages_may_be_repeated_or_a_list() {
        assert_eq!(plan(&["-s", "1s:5", "-s", "2s:0"], &[]), plan(&["-s", "1s:5,2s:0"], &[]));
    }

    #[test]
    fn yaml_job_file_is_rejected_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.yaml");
        std::fs::write(&path, "users: 5\n").unwrap();
        let path = path.display().to_string();
        let error = call(&["-f", &path], &[]).unwrap_err().to_string();
        assert_eq!(error, format!("`{path}`: expected TOML: only `golo run` reads YAML"));
    }

    #[test]
    fn invalid_variable_is_reported_with_its_value_and_what_is_expected() {
        for (name, value, expected) in [
            ("GOLO_USERS", "many", "`GOLO_USERS` is `many`: invalid digit"),
            ("GOLO_RATE", "5", "`GOLO_RATE` is `5`: "),
            ("GOLO_QUIET", "yes", "`GOLO_QUIET` is `yes`: expected 1 or 0"),
            ("GOLO_OUT", "xml=a", "`GOLO_OUT` is `xml=a`: expected summary=FILE"),
        ] {
            let error = call(&[], &[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
