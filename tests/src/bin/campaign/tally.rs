//! Figures of a campaign.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use crate::observed::{Observed, Part};
use crate::plan::{Client, Plan};
use crate::rules::check;

/// Figures of the rounds so far.
#[derive(Debug)]
pub(crate) struct Tally {
    begun: Instant,
    rounds: u64,
    /// Rounds in which a rule was broken.
    broken_rounds: u64,
    /// Rounds whose victim was not there at the time of the fault.
    missed: u64,
    faults: BTreeMap<String, u64>,
    /// By rule: how often it was checked and broken.
    rules: BTreeMap<&'static str, (u64, u64)>,
    received: u64,
    counted: u64,
    collected: u64,
}

impl Tally {
    pub(crate) fn start() -> Self {
        Self {
            begun: Instant::now(),
            rounds: 0,
            broken_rounds: 0,
            missed: 0,
            faults: BTreeMap::new(),
            rules: BTreeMap::new(),
            received: 0,
            counted: 0,
            collected: 0,
        }
    }

    /// Adds a round. Returns its broken rules, with figures.
    pub(crate) fn add(&mut self, plan: &Plan, observed: &Observed) -> Vec<String> {
        self.rounds += 1;
        match (plan.fault, observed.struck_at()) {
            (Some(_), None) => self.missed += 1,
            (fault, _) => {
                *self.faults.entry(fault.map_or("none".to_owned(), |fault| fault.kind())).or_default() += 1;
            }
        }
        self.received += observed.parts.iter().map(|part| part.seen.arrived.len() as u64).sum::<u64>();
        let collected = observed.collected_requests().unwrap_or_default();
        self.collected += collected;
        self.counted += match plan.client {
            Client::Run => collected,
            Client::Submit => observed.parts.iter().filter_map(Part::counted).sum(),
        };
        let mut broken = Vec::new();
        for checked in check(plan, observed) {
            let (times, breaks) = self.rules.entry(checked.rule).or_default();
            *times += 1;
            if let Some(figures) = checked.broken {
                *breaks += 1;
                broken.push(format!("{}: {figures}", checked.rule));
            }
        }
        self.broken_rounds += u64::from(!broken.is_empty());
        broken
    }

    /// Returns true if no rule was broken.
    pub(crate) fn is_clean(&self) -> bool {
        self.broken_rounds == 0
    }

    /// Returns the summary of the campaign.
    pub(crate) fn summary(&self, seed: u64) -> String {
        let seconds = self.begun.elapsed().as_secs_f64();
        let an_hour = self.rounds as f64 / seconds * 3600.0;
        let mut text = format!(
            "seed {seed}: {} rounds in {seconds:.0} s, {an_hour:.0} an hour; {} with a broken rule\n\
             requests: {} received by the target, {} counted by agents and `golo run`, {} in the collector\n\nfaults\n",
            self.rounds, self.broken_rounds, self.received, self.counted, self.collected
        );
        for (kind, times) in &self.faults {
            _ = writeln!(text, "  {times:>5}  {kind}");
        }
        if self.missed > 0 {
            _ = writeln!(text, "  {:>5}  too late: the victim had ended", self.missed);
        }
        text.push_str("\nrules, checked and broken\n");
        for (rule, (times, breaks)) in &self.rules {
            _ = writeln!(text, "  {times:>5} {breaks:>5}  {rule}");
        }
        text
    }
}
