//! Exit codes.

use std::process::ExitCode;

use super::{Error, chain};
use crate::support::message::say;

/// Exit code of a golo process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Success.
    Success = 0,
    /// An unexpected error, a failed trigger of `once`, or results that could not be written.
    Failed = 1,
    /// The generator could not deliver the plan. For `compare`: a run cannot be compared.
    Invalid = 96,
    /// For `compare`: the runs are too noisy or too short.
    TooNoisy = 98,
    /// A threshold failed, or nothing succeeded. For `compare`: a regression.
    ThresholdFailed = 99,
    /// The command line, the environment or the address is invalid.
    BadConfiguration = 104,
    /// A signal cut the run short.
    Interrupted = 105,
    /// The load test could not start, or died.
    NotStarted = 107,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        if error.is_address() {
            Self::BadConfiguration
        } else if error.is_start() {
            Self::NotStarted
        } else {
            Self::Failed
        }
    }
}

/// Prints an error on stderr and returns the exit code for it.
pub(crate) fn report(error: &Error) -> ExitCode {
    say(format_args!("golo: {}", chain(error)));
    Exit::from(error).into()
}
