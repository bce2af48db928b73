//! Reasons why a load test cannot be started.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustix::io::Errno;

use super::binary;
use super::flags::Flags;
use super::report::{Refusal, Step};

/// Error of starting a load test.
///
/// [`Display`](fmt::Display) prints one line with what is wrong and what would be right. The
/// [`source`](std::error::Error::source) is the system's reason, if there is one.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    message: String,
    at_fault: Fault,
    source: Option<io::Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Program,
    Circumstances,
}

impl StartError {
    /// True if the program can never run here: it is a directory, for example, or built for another machine. False if its
    /// folder, its limits or the state of this machine are the reason.
    #[must_use]
    pub fn is_program(&self) -> bool {
        self.at_fault == Fault::Program
    }

    /// Returns the error of a program that can never run here. `right` is what would be right.
    pub(super) fn program(wrong: impl fmt::Display, right: impl fmt::Display) -> Self {
        Self { message: format!("{wrong}: {right}"), at_fault: Fault::Program, source: None }
    }

    pub(super) fn circumstances(message: impl Into<String>, source: impl Into<Option<io::Error>>) -> Self {
        Self { message: message.into(), at_fault: Fault::Circumstances, source: source.into() }
    }

    /// Returns the error of a supervisor that has ended, with what it printed.
    pub(super) fn supervisor(stderr: &str) -> Self {
        let stderr = stderr.trim_end().replace('\n', ", ");
        let before = "the supervisor ended before the load test was started";
        Self::circumstances(if stderr.is_empty() { before.to_owned() } else { format!("{before}: {stderr}") }, None)
    }

    /// Returns the error of the system's refusal to start the load test.
    pub(super) fn refused(refusal: Refusal, flags: &Flags) -> Self {
        let error = io::Error::from_raw_os_error(refusal.errno);
        match refusal.step {
            Step::Program => Self::not_executed(&flags.program, error),
            Step::Folder => {
                let folder = flags.folder.as_deref().map_or_else(PathBuf::new, Path::to_owned);
                Self::circumstances(format!("the folder `{}` cannot be entered", folder.display()), error)
            }
            Step::Descriptors => {
                let most = flags.descriptors.unwrap_or_default();
                Self::circumstances(format!("descriptors cannot be limited to {most}"), error)
            }
        }
    }

    fn not_executed(path: &Path, error: io::Error) -> Self {
        let name = path.display();
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => match binary::loader(path) {
                Some(loader) => Self::program(
                    format_args!("`{name}` needs `{loader}` to run, which this machine does not have"),
                    "install it, or build the load test statically, for example for `x86_64-unknown-linux-musl`",
                ),
                None => Self::no_file(path),
            },
            Some(Errno::ACCESS) => Self::program(
                format_args!("`{name}` may not be executed"),
                "its permissions, those of the folders above it and the file system (`noexec`) must allow that",
            ),
            Some(Errno::NOEXEC) => Self::program(
                format_args!("`{name}` is not a program that this machine can run"),
                "a load test is an executable file, such as `target/release/NAME`",
            ),
            Some(Errno::TXTBSY) => {
                Self::circumstances(format!("`{name}` is still being written: try again when it is whole"), None)
            }
            _ => Self::circumstances(format!("`{name}` cannot be executed"), error),
        }
    }

    pub(super) fn no_file(path: &Path) -> Self {
        Self::program(
            format_args!("there is no file `{}`", path.display()),
            "a load test is an executable file, such as `target/release/NAME`",
        )
    }
}
