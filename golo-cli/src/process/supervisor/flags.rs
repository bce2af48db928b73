//! The command lines of `golo supervise` and `golo exec`, which golo itself writes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// `--grace=MS [--memory=BYTES] [--descriptors=N] [--folder=PATH] [--scratch=PATH] [--supervisor=ID] -- PROGRAM [ARGUMENT…]`
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) grace: Duration,
    /// Maximum memory, in bytes.
    pub(super) memory: Option<u64>,
    /// Maximum number of open descriptors per process.
    pub(super) descriptors: Option<u64>,
    /// Working directory.
    pub(super) folder: Option<PathBuf>,
    /// Folder that the supervisor deletes at its end.
    pub(super) scratch: Option<PathBuf>,
    /// Process ID of the supervisor; its death ends `golo exec` and the load test.
    pub(super) supervisor: Option<u32>,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

const MISSING: &str = "is missing";

/// Error of an internal command line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` {1}")]
pub(super) struct FlagsError(String, &'static str);

impl Flags {
    /// Returns the command line that [`parse`](Self::parse) reads.
    pub(super) fn line(&self) -> Vec<OsString> {
        let mut line = vec![OsString::from(format!("--grace={}", self.grace.as_millis()))];
        line.extend(self.memory.map(|bytes| format!("--memory={bytes}").into()));
        line.extend(self.descriptors.map(|most| format!("--descriptors={most}").into()));
        line.extend(self.supervisor.map(|id| format!("--supervisor={id}").into()));
        for (flag, folder) in [("--folder=", &self.folder), ("--scratch=", &self.scratch)] {
            line.extend(
                folder.iter().map(|folder| [OsStr::new(flag), folder.as_os_str()].into_iter().collect::<OsString>()),
            );
        }
        line.extend(["--".into(), self.program.clone().into_os_string()]);
        line.extend(self.arguments.iter().cloned());
        line
    }

    /// Parses a command line.
    ///
    /// # Errors
    ///
    /// Returns an error if a flag is unknown or has a wrong value, or if the program is missing.
    pub(super) fn parse(line: &[OsString]) -> Result<Self, FlagsError> {
        let mut flags = Self::default();
        let mut line = line.iter();
        loop {
            match line.next().map(|argument| (argument, argument.as_bytes())) {
                Some((_, b"--")) => break,
                Some((flag, bytes)) => flags.set(flag, bytes)?,
                None => return Err(FlagsError("-- PROGRAM".to_owned(), MISSING)),
            }
        }
        flags.program = line.next().ok_or_else(|| FlagsError("PROGRAM".to_owned(), MISSING))?.into();
        flags.arguments = line.cloned().collect();
        Ok(flags)
    }

    fn set(&mut self, flag: &OsStr, bytes: &[u8]) -> Result<(), FlagsError> {
        let wrong = || FlagsError(flag.display().to_string(), "is not understood");
        let at = bytes.iter().position(|&byte| byte == b'=').ok_or_else(wrong)?;
        let value = OsString::from_vec(bytes[at + 1..].to_vec());
        match &bytes[..at] {
            b"--grace" => self.grace = Duration::from_millis(number(&value).ok_or_else(wrong)?),
            b"--memory" => self.memory = Some(number(&value).ok_or_else(wrong)?),
            b"--descriptors" => self.descriptors = Some(number(&value).ok_or_else(wrong)?),
            b"--supervisor" => self.supervisor = Some(number(&value).ok_or_else(wrong)?),
            b"--folder" => self.folder = Some(value.into()),
            b"--scratch" => self.scratch = Some(value.into()),
            _ => return Err(wrong()),
        }
        Ok(())
    }
}

fn number<T: FromStr>(text: &OsStr) -> Option<T> {
    text.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_line_is_read_back() {
        let all = Flags {
            grace: Duration::from_millis(1500),
            memory: Some(64 << 20),
            descriptors: Some(16),
            folder: Some(PathBuf::from(OsString::from_vec(vec![b'/', 0xff, b'=']))),
            scratch: Some("/tmp/golo-x".into()),
            supervisor: Some(77),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), "--".into(), "".into(), OsString::from_vec(vec![0xfe])],
        };
        let few = Flags { program: "/bin/true".into(), ..Flags::default() };
        for flags in [all, few] {
            assert_eq!(Flags::parse(&flags.line()), Ok(flags));
        }
    }

    #[test]
    fn error_names_the_wrong_flag() {
        for (line, wrong) in [
            (vec![], "`-- PROGRAM` is missing"),
            (vec!["--grace=1"], "`-- PROGRAM` is missing"),
            (vec!["--grace=1", "--"], "`PROGRAM` is missing"),
            (vec!["--grace=soon", "--", "x"], "`--grace=soon` is not understood"),
            (vec!["--memory", "--", "x"], "`--memory` is not understood"),
            (vec!["--colour=red", "--", "x"], "`--colour=red` is not understood"),
        ] {
            let line: Vec<OsString> = line.into_iter().map(OsString::from).collect();
            assert_eq!(Flags::parse(&line).unwrap_err().to_string(), wrong);
        }
    }
}
