//! What a round does: its load, and its fault. Chosen by the seed and the round's number alone.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use golo_tests::Signal;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::fault::{Blow, Fault, Victim};

/// Milliseconds for which a process is suspended or a connection is down: shorter than the time after which an agent
/// counts as lost, so that nobody may notice.
const SHORT: Range<u64> = 100..6_000;
/// As [`SHORT`], longer than that time.
const LONG: Range<u64> = 11_000..15_000;

/// Command that runs the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// `golo submit`, with all agents.
    Submit,
    /// `golo run`, with the collector's database.
    Run,
}

/// Time of a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// After the start of the client.
    Starting(Duration),
    /// After the first request.
    Loaded(Duration),
}

/// A round.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) number: u64,
    pub(crate) client: Client,
    /// The run goes on without a lost agent.
    pub(crate) goes_on: bool,
    /// Flags of the load, without its duration.
    pub(crate) load: &'static str,
    pub(crate) duration: Duration,
    pub(crate) fault: Option<Fault>,
    pub(crate) moment: Moment,
    /// Time until an agent or a collector that the fault has ended is started again.
    pub(crate) back: Duration,
}

impl Plan {
    /// Returns round `number` of the campaign with this seed.
    pub(crate) fn of(seed: u64, number: u64, agents: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let client = if random.random_range(0..5) == 0 { Client::Run } else { Client::Submit };
        let fault = fault(&mut random, client, usize::try_from(agents).unwrap_or(1));
        let goes_on = random.random_range(0..3) == 0;
        let load = match random.random_range(0..4) {
            0 => "-u 6 --pace 150ms",
            1 => "-u 2",
            2 => "-r 50/s --arrivals poisson --max-users 20",
            _ => "-r 40/s --max-users 20",
        };
        // Long enough that the load would go on if the fault did not end it.
        let is_deadly = fault.is_some_and(|fault| fault.blow.ends());
        let is_late = fault.is_some_and(|fault| is_long(fault.blow));
        let seconds = match fault.map(|fault| fault.victim) {
            Some(Victim::Client) if is_deadly => 30,
            Some(Victim::Client | Victim::Agent(_) | Victim::ClientLink(_)) if is_late => 20,
            Some(Victim::Agent(_) | Victim::Supervisor(_) | Victim::LoadTest(_)) if is_deadly && !goes_on => 15,
            _ => random.random_range(3..=5),
        };
        let moment = match random.random_range(0..6) {
            0 => Moment::Starting(Duration::from_millis(random.random_range(20..900))),
            _ => Moment::Loaded(Duration::from_millis(random.random_range(0..3_000))),
        };
        let back = Duration::from_millis(random.random_range(0..2_000));
        Self { number, client, goes_on, load, duration: Duration::from_secs(seconds), fault, moment, back }
    }

    /// Name of the job.
    pub(crate) fn job(&self) -> String {
        format!("round-{}", self.number)
    }

    /// Longest acceptable lag of starts, which are late on a busy machine.
    pub(crate) fn max_lag(&self) -> &'static str {
        match self.fault {
            // This is to be noticed.
            Some(Fault { victim: Victim::LoadTest(_), blow: Blow::Suspend(_) | Blow::Freeze }) => "2s",
            _ => "60s",
        }
    }

    /// Returns true if the fault ends the client.
    pub(crate) fn ends_client(&self) -> bool {
        self.fault.is_some_and(|fault| fault.victim == Victim::Client && fault.blow.ends())
    }
}

/// Returns true if this is so long that an agent may count as lost, or a client as gone.
pub(crate) fn is_long(blow: Blow) -> bool {
    match blow {
        Blow::Suspend(time) | Blow::Cut(time) | Blow::Stall(time) => time >= Duration::from_millis(LONG.start),
        Blow::Signal(_) | Blow::Freeze => false,
    }
}

fn fault(random: &mut SmallRng, client: Client, agents: usize) -> Option<Fault> {
    let agent = random.random_range(0..agents);
    let is_long = random.random_range(0..5) == 0;
    let time = Duration::from_millis(random.random_range(if is_long { LONG } else { SHORT }));
    let [kill, term, int, hup] = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP].map(Blow::Signal);
    let (freeze, suspend, cut, stall) = (Blow::Freeze, Blow::Suspend(time), Blow::Cut(time), Blow::Stall(time));
    let choices: [(Victim, &[Blow]); 7] = [
        (Victim::Client, &[kill, kill, term, int, hup, suspend]),
        (Victim::LoadTest(agent), &[kill, kill, term, hup, suspend, freeze]),
        (Victim::Supervisor(agent), &[kill, kill, suspend, freeze, term]),
        (Victim::Collector, &[kill, kill, suspend, term, hup]),
        (Victim::Agent(agent), &[kill, kill, term, hup, suspend]),
        (Victim::ClientLink(agent), &[cut, stall]),
        (Victim::CollectorLink(agent), &[cut, stall]),
    ];
    // One round in 15 has no fault. `golo run` has no agents and no connections.
    let of_client = match client {
        Client::Submit => &choices[..],
        Client::Run => &choices[..4],
    };
    let (victim, blows) = match random.random_range(0..15) {
        0 => return None,
        _ => of_client[random.random_range(0..of_client.len())],
    };
    Some(Fault { victim, blow: blows[random.random_range(0..blows.len())] })
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = match self.client {
            Client::Submit => "golo submit",
            Client::Run => "golo run",
        };
        write!(f, "{client} {} -d {}s", self.load, self.duration.as_secs())?;
        if self.goes_on && self.client == Client::Submit {
            f.write_str(" --on-agent-loss continue")?;
        }
        let Some(fault) = &self.fault else { return f.write_str(", no fault") };
        match self.moment {
            Moment::Starting(time) => write!(f, ", {fault} {time:?} after the client's start"),
            Moment::Loaded(time) => write!(f, ", {fault} {time:?} after the first request"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn same_seed_chooses_same_rounds() {
        let rounds = |seed| (0..50).map(|number| format!("{:?}", Plan::of(seed, number, 2))).collect::<Vec<_>>();
        assert_eq!(rounds(7), rounds(7));
        assert_ne!(rounds(7), rounds(8));
    }

    #[test]
    fn every_kind_of_fault_is_chosen() {
        let faults = (0..2000).filter_map(|number| Plan::of(1, number, 2).fault);
        let kinds: BTreeSet<_> = faults.map(|fault| fault.kind()).collect();
        assert_eq!(kinds.len(), 5 + 5 + 4 + 4 + 4 + 2 + 2, "{kinds:?}");
    }
}
