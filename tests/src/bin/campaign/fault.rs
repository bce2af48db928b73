//! Faults: what is done, and to which process or connection.

use std::fmt;
use std::time::Duration;

use golo_tests::Signal;

/// What a fault is done to. Numbers are those of agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    /// `golo submit` or `golo run`.
    Client,
    Agent(usize),
    Supervisor(usize),
    LoadTest(usize),
    Collector,
    /// Connections of `golo submit` to an agent.
    ClientLink(usize),
    /// Connections of an agent to the collector.
    CollectorLink(usize),
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    Signal(Signal),
    /// SIGSTOP, and nothing after it.
    Freeze,
    /// SIGSTOP, and SIGCONT after this time.
    Suspend(Duration),
    /// All connections are dropped, and new ones for this time.
    Cut(Duration),
    /// No byte passes for this time.
    Stall(Duration),
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) victim: Victim,
    pub(crate) blow: Blow,
}

impl Victim {
    /// Number of the agent whose part is disturbed, if it is one.
    pub(crate) fn part(self) -> Option<usize> {
        match self {
            Self::Agent(agent) | Self::Supervisor(agent) | Self::LoadTest(agent) => Some(agent),
            Self::ClientLink(agent) => Some(agent),
            Self::Client | Self::Collector | Self::CollectorLink(_) => None,
        }
    }
}

impl Blow {
    /// Returns true if a process does not do its work after this.
    pub(crate) fn ends(self) -> bool {
        matches!(self, Self::Signal(_) | Self::Freeze)
    }
}

impl Fault {
    /// Kind of the fault, as counted in the summary.
    pub(crate) fn kind(&self) -> String {
        let victim = match self.victim {
            Victim::Client => "client",
            Victim::Agent(_) => "agent",
            Victim::Supervisor(_) => "supervisor",
            Victim::LoadTest(_) => "load test",
            Victim::Collector => "collector",
            Victim::ClientLink(_) => "client-agent",
            Victim::CollectorLink(_) => "agent-collector",
        };
        let blow = match self.blow {
            Blow::Signal(signal) => name(signal),
            Blow::Freeze => "SIGSTOP for ever",
            Blow::Suspend(_) => "SIGSTOP",
            Blow::Cut(_) => "cut",
            Blow::Stall(_) => "stall",
        };
        format!("{victim} {blow}")
    }
}

fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::KILL => "SIGKILL",
        Signal::TERM => "SIGTERM",
        Signal::INT => "SIGINT",
        Signal::HUP => "SIGHUP",
        _ => "signal",
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind())?;
        match self.victim {
            Victim::Agent(agent) | Victim::Supervisor(agent) | Victim::LoadTest(agent) => write!(f, " of a{agent}")?,
            Victim::ClientLink(agent) | Victim::CollectorLink(agent) => write!(f, " of a{agent}")?,
            Victim::Client | Victim::Collector => {}
        }
        match self.blow {
            Blow::Signal(_) | Blow::Freeze => Ok(()),
            Blow::Suspend(time) | Blow::Cut(time) | Blow::Stall(time) => write!(f, " for {time:?}"),
        }
    }
}
