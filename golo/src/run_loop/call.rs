//! Settings of a run, merged from flags, environment and job file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::RunSpec;
use crate::engine::Options;
use crate::engine::failures::Masks;
use crate::engine::plan::{Asked, Plan, PlanError, ScenarioRequest};
use crate::engine::room::Selected;
use crate::report::terminal::Terminal;
use crate::report::{MetricsOutput, OutputArg, Threshold, outputs};

use crate::support::cores;
use crate::transport::options::TransportOptions;
use crate::user::data_file::DataFile;
use crate::user::share::Share;
use crate::{Error, Loadtest};

/// Everything that `run` was asked to do.
#[derive(Debug)]
pub struct RunCall {
    /// Values from which the plan was made.
    pub(crate) asked: Asked,
    pub(crate) plan: Plan,
    pub(crate) scenarios: ScenarioRequest,
    pub(crate) job_name: Option<String>,
    pub(crate) workers: Option<usize>,
    pub(crate) seed: u64,
    pub(crate) max_lag: Option<Duration>,
    pub(crate) transport: TransportOptions,
    pub(crate) thresholds: Vec<Threshold>,
    pub(crate) abort_on_fail: bool,
    pub(crate) out: Vec<OutputArg>,
    /// Further names of secrets in samples of failed requests.
    pub(crate) masks: Masks,
    /// True if samples are taken even if no report shows them.
    pub(crate) keeps_failures: bool,
    /// Files that the load test reads.
    pub(crate) data: Vec<DataFile>,
    /// Parameters from a job file.
    pub(crate) params: Vec<(String, String)>,
    /// Load test that a job file names.
    pub(crate) load_test: Option<PathBuf>,
    pub(crate) quiet: bool,
    pub(crate) progress: bool,
}

impl RunCall {
    /// Returns the plan of the load.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns what the run asks of scenarios.
    #[must_use]
    pub fn scenarios(&self) -> &ScenarioRequest {
        &self.scenarios
    }

    /// Completes the plan with the scenarios of a load test in this process, and adds its thresholds.
    ///
    /// # Errors
    ///
    /// Returns an error if a scenario is unknown or invalid.
    pub(crate) fn complete(&mut self, loadtest: &Loadtest) -> Result<(), PlanError> {
        let completed = loadtest.complete(&self.plan, &self.scenarios)?;
        self.plan = completed.plan;
        self.thresholds.extend(completed.thresholds);
        Ok(())
    }

    /// Returns the engine's options for the load test `name`.
    #[must_use]
    pub fn options(&self, name: &str) -> Options {
        Options {
            job_name: self.job_name.clone().unwrap_or_else(|| name.to_owned()),
            workers: self.workers.unwrap_or_else(cores),
            seed: self.seed,
            share: Share::WHOLE,
            max_lag: self.max_lag,
        }
    }

    /// Returns the settings of a run of the load test `name`.
    #[must_use]
    pub fn spec(&self, name: &str) -> RunSpec {
        RunSpec {
            plan: self.plan.clone(),
            options: self.options(name),
            thresholds: self.thresholds.clone(),
            abort_on_fail: self.abort_on_fail,
            is_quiet: self.quiet,
            held: None,
            lines: self.out.iter().filter_map(OutputArg::lines_place).collect(),
        }
    }

    /// Returns the name and the argument of each output that only the `golo` command has, such as `influxdb` and a URL.
    pub fn receivers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.out.iter().filter_map(OutputArg::receiver)
    }

    /// Opens the requested outputs of files and adds the terminal.
    pub(crate) fn outputs(&self) -> Result<Vec<Box<dyn MetricsOutput>>, Error> {
        let mut outputs = outputs::open(&self.out)?;
        outputs.push(Box::new(Terminal::new(self.progress, self.out.iter().any(OutputArg::is_stdout))));
        Ok(outputs)
    }

    /// Returns the thresholds that the run must pass.
    #[must_use]
    pub fn thresholds(&self) -> &[Threshold] {
        &self.thresholds
    }

    /// Returns the routes and tags that thresholds select.
    #[must_use]
    pub fn selected(&self) -> Selected {
        let routes: Selected = self.thresholds.iter().filter_map(Threshold::route).collect();
        routes.with_tags(self.thresholds.iter().flat_map(Threshold::tags))
    }

    /// Takes samples of failed requests even if no report shows them, because the run is stored.
    pub fn keep_failures(&mut self) {
        self.keeps_failures = true;
    }

    /// Returns the further names of secrets, if samples of failed requests are wanted.
    #[must_use]
    pub fn masks(&self) -> Option<Masks> {
        let is_wanted = self.keeps_failures || self.out.iter().any(OutputArg::shows_failures);
        is_wanted.then(|| self.masks.clone())
    }

    /// Returns the files that the load test reads, each once.
    #[must_use]
    pub fn data(&self) -> &[DataFile] {
        &self.data
    }

    /// Returns the parameters from a job file.
    #[must_use]
    pub fn params(&self) -> &[(String, String)] {
        &self.params
    }

    /// Returns the load test that a job file names.
    #[must_use]
    pub fn load_test(&self) -> Option<&Path> {
        self.load_test.as_deref()
    }

    /// Returns the requested outputs.
    #[must_use]
    pub fn requested_outputs(&self) -> &[OutputArg] {
        &self.out
    }

    /// Returns true if the run stops as soon as a threshold can no longer pass.
    #[must_use]
    pub fn aborts_on_fail(&self) -> bool {
        self.abort_on_fail
    }

    /// Returns true if an output writes one line for every request.
    #[must_use]
    pub fn wants_lines(&self) -> bool {
        self.out.iter().any(OutputArg::is_lines)
    }

    /// Returns true if only the summary and problems are printed.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Returns the options of the transport.
    #[must_use]
    pub fn transport(&self) -> &TransportOptions {
        &self.transport
    }
}
