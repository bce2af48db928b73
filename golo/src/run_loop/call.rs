//! What a run was asked to do, as flags, environment and job file say together.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::RunSpec;
use crate::{
    Error,
    engine::{
        Options,
        plan::{Asked, Plan},
        room::Selected,
    },
    report::{MetricsOutput, OutputArg, Threshold, outputs, terminal::Terminal},
    support::cores,
    transport::proxy::Proxy,
    user::share::Share,
};

/// What `run` is to do.
#[derive(Debug)]
pub struct RunCall {
    /// What the plan was made of.
    pub(crate) asked: Asked,
    pub(crate) plan: Plan,
    pub(crate) job_name: Option<String>,
    pub(crate) workers: Option<usize>,
    pub(crate) seed: u64,
    pub(crate) max_lag: Option<Duration>,
    pub(crate) no_keep_alive: bool,
    pub(crate) insecure: bool,
    pub(crate) proxy: Proxy,
    pub(crate) thresholds: Vec<Threshold>,
    pub(crate) abort_on_fail: bool,
    pub(crate) out: Vec<OutputArg>,
    /// Parameters that a file gave.
    pub(crate) params: Vec<(String, String)>,
    /// The load test that a file names.
    pub(crate) load_test: Option<PathBuf>,
    pub(crate) quiet: bool,
    pub(crate) progress: bool,
}

impl RunCall {
    /// What is to be delivered.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How it is to be run, of the load test `name`.
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

    /// Returns what the run loop must know of the run of the load test `name`.
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

    /// Returns the outputs that were asked for, and the terminal.
    pub(crate) fn outputs(&self) -> Result<Vec<Box<dyn MetricsOutput>>, Error> {
        let mut outputs = outputs::open(&self.out)?;
        outputs.push(Box::new(Terminal::new(self.progress, self.out.iter().any(OutputArg::is_stdout))));
        Ok(outputs)
    }

    /// What the run must keep to.
    #[must_use]
    pub fn thresholds(&self) -> &[Threshold] {
        &self.thresholds
    }

    /// The routes that thresholds select.
    #[must_use]
    pub fn selected(&self) -> Selected {
        self.thresholds.iter().filter_map(Threshold::route).collect()
    }

    /// Parameters that a file gave.
    #[must_use]
    pub fn params(&self) -> &[(String, String)] {
        &self.params
    }

    /// The load test that a file names.
    #[must_use]
    pub fn load_test(&self) -> Option<&Path> {
        self.load_test.as_deref()
    }

    /// Whether every request is to be written down as a line.
    #[must_use]
    pub fn wants_lines(&self) -> bool {
        self.out.iter().any(OutputArg::is_lines)
    }

    /// Whether nothing is to be said but the summary, and what went wrong.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether each request is to have a connection of its own, and whether any certificate will do.
    #[must_use]
    pub fn client_options(&self) -> (bool, bool) {
        (self.no_keep_alive, self.insecure)
    }

    /// The proxy that requests go through.
    #[must_use]
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }
}
