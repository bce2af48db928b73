//! Flags of `run`, as variables and keys of job files use them.

use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, error::ErrorKind};

use super::RunArgs;
use crate::support::setting_error::SettingError;

/// Flags that a command has in addition to those of `run`. They are also variables and keys of job files.
pub trait OwnFlags: Args + Default {
    /// Returns these flags, with those that are not set taken from `below`.
    #[must_use]
    fn over(self, below: Self) -> Self;
}

/// A load test's own `run` has no further flags.
impl OwnFlags for () {
    fn over(self, (): Self) {}
}

/// The flags of `run` without a command.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Alone<T: OwnFlags> {
    #[command(flatten)]
    run: RunArgs<T>,
}

/// A flag of `run`, for other sources than the command line.
pub(in crate::runtime) struct Flag {
    /// Long name without its dashes.
    pub(in crate::runtime) name: String,
    short: Option<char>,
    pub(in crate::runtime) takes_value: bool,
    pub(in crate::runtime) is_repeated: bool,
}

impl Flag {
    /// Returns true if an argument is this flag, by its long or its short name.
    pub(in crate::runtime) fn is(&self, argument: &str) -> bool {
        match argument.strip_prefix("--") {
            Some(long) => long == self.name,
            None => argument.strip_prefix('-').is_some_and(|short| short.chars().eq(self.short)),
        }
    }
}

/// Returns all flags.
pub(in crate::runtime) fn flags<T: OwnFlags>() -> Vec<Flag> {
    let command = Alone::<T>::command();
    let flag = |arg: &clap::Arg| {
        Some(Flag {
            name: arg.get_long()?.to_owned(),
            short: arg.get_short(),
            takes_value: !matches!(arg.get_action(), ArgAction::SetTrue),
            is_repeated: matches!(arg.get_action(), ArgAction::Append),
        })
    };
    command.get_arguments().filter_map(flag).collect()
}

impl<T: OwnFlags> RunArgs<T> {
    /// Parses arguments of `run`. Error messages have no usage text around them.
    pub(in crate::runtime) fn parse(arguments: &[String]) -> Result<Self, SettingError> {
        let matches = Alone::<T>::command().try_get_matches_from(arguments).map_err(|error| why(&error))?;
        Alone::<T>::from_arg_matches(&matches).map(|alone| alone.run).map_err(|error| why(&error).into())
    }
}

/// Returns the reason in a clap error, without the text around it.
fn why(error: &clap::Error) -> String {
    use std::error::Error as _;
    match (error.kind(), error.source()) {
        (ErrorKind::ValueValidation, Some(source)) => source.to_string(),
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}
