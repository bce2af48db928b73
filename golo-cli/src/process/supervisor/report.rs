//! Lines that the supervisor sends to `golo`, and the line with which `golo exec` reports a failure.

use std::{fmt, io, str::FromStr, time::Duration};

use rustix::io::Errno;

/// Content of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    Group(u32),
    Started,
    Refused(Refusal),
    /// It was stopped for so long.
    Stood(Duration),
    Ended(End),
}

/// End of the load test as seen by the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Exited(i32),
    Signalled(i32),
    /// By SIGKILL, after the grace period.
    Killed,
    /// By SIGKILL, on the order to kill.
    Cut,
    /// By SIGKILL, because its processes had this many bytes of memory.
    OutOfMemory(u64),
}

/// Reason why `golo exec` could not become the load test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) step: Step,
    pub(super) errno: i32,
}

/// Step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Folder,
    Descriptors,
    Program,
}

impl Refusal {
    pub(super) fn new(step: Step, error: &io::Error) -> Self {
        Self { step, errno: error.raw_os_error().unwrap_or(Errno::IO.raw_os_error()) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Folder => "folder",
            Step::Descriptors => "descriptors",
            Step::Program => "program",
        };
        write!(f, "{step} {}", self.errno)
    }
}

impl FromStr for Refusal {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let (step, errno) = line.split_once(' ').ok_or(())?;
        let step = match step {
            "folder" => Step::Folder,
            "descriptors" => Step::Descriptors,
            "program" => Step::Program,
            _ => return Err(()),
        };
        Ok(Self { step, errno: number(errno)? })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(id) => write!(f, "group {id}"),
            Self::Started => f.write_str("started"),
            Self::Refused(refusal) => write!(f, "refused {refusal}"),
            Self::Stood(time) => write!(f, "stood {}", time.as_micros()),
            Self::Ended(End::Exited(code)) => write!(f, "exited {code}"),
            Self::Ended(End::Signalled(signal)) => write!(f, "signalled {signal}"),
            Self::Ended(End::Killed) => f.write_str("killed"),
            Self::Ended(End::Cut) => f.write_str("cut"),
            Self::Ended(End::OutOfMemory(bytes)) => write!(f, "memory {bytes}"),
        }
    }
}

impl FromStr for Report {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Ok(match word {
            "group" => Self::Group(number(rest)?),
            "started" => Self::Started,
            "refused" => Self::Refused(rest.parse()?),
            "stood" => Self::Stood(Duration::from_micros(number(rest)?)),
            "exited" => Self::Ended(End::Exited(number(rest)?)),
            "signalled" => Self::Ended(End::Signalled(number(rest)?)),
            "killed" => Self::Ended(End::Killed),
            "cut" => Self::Ended(End::Cut),
            "memory" => Self::Ended(End::OutOfMemory(number(rest)?)),
            _ => return Err(()),
        })
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, ()> {
    text.parse().map_err(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_line_parses_back() {
        for (line, report) in [
            ("group 12", Report::Group(12)),
            ("started", Report::Started),
            ("refused folder 2", Report::Refused(Refusal { step: Step::Folder, errno: 2 })),
            ("refused descriptors 1", Report::Refused(Refusal { step: Step::Descriptors, errno: 1 })),
            ("refused program 13", Report::Refused(Refusal { step: Step::Program, errno: 13 })),
            ("stood 1500000", Report::Stood(Duration::from_millis(1500))),
            ("exited 255", Report::Ended(End::Exited(255))),
            ("signalled 11", Report::Ended(End::Signalled(11))),
            ("killed", Report::Ended(End::Killed)),
            ("cut", Report::Ended(End::Cut)),
            ("memory 67108865", Report::Ended(End::OutOfMemory(67_108_865))),
        ] {
            assert_eq!(report.to_string(), line);
            assert_eq!(line.parse(), Ok(report));
        }
        for line in ["", "group", "group x", "refused", "refused program", "refused door 1", "exited", "stood", "bored"]
        {
            assert_eq!(line.parse::<Report>(), Err(()), "{line}");
        }
    }
}
