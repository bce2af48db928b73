//! Stopping a job: the reasons, and the orders to its engine.

use golo::run_loop::Order;

use super::Job;
use crate::drive::run_end::RunEnd;

/// Reason why a job is to stop.
#[derive(Debug, Clone)]
pub struct Stop {
    /// The agent's reason, as text.
    pub reason: &'static str,
    /// The run's end, as far as the client has reported it.
    pub run: RunEnd,
    /// True if the reason is that the job's lease ran out.
    pub is_lease_over: bool,
}

impl Job {
    /// Stops the job with the grace of its plan, unless it was already asked to stop.
    pub fn stop_once(&self, reason: &'static str) {
        self.stop_first(Stop { reason, run: RunEnd::default(), is_lease_over: false });
    }

    /// As [`stop_once`](Self::stop_once), since the job's lease ran out. Returns false if the job is stopping or over.
    pub(in crate::agent) fn stop_for_lease(&self) -> bool {
        self.stop_first(Stop { reason: "its lease ran out", run: RunEnd::default(), is_lease_over: true })
    }

    fn stop_first(&self, stop: Stop) -> bool {
        let mut inner = self.lock();
        let (kept, live) = &mut *inner;
        // The other members are not waited for.
        self.exchange.release();
        if live.stop.is_some() || kept.state.is_over() {
            return false;
        }
        live.stop = Some(stop);
        if let Some(commands) = &live.commands {
            _ = commands.try_send(Order::Stop);
        }
        true
    }

    /// Stops the job with the grace of its plan; the second call cuts it off. A call with a `run` that is not the
    /// default is recorded and never cuts the job off, so that it can be repeated.
    pub fn stop(&self, reason: &'static str, run: &RunEnd) {
        let mut inner = self.lock();
        let live = &mut inner.1;
        let command = match &mut live.stop {
            Some(stop) => {
                stop.run.add(run);
                if *run != RunEnd::default() {
                    return;
                }
                Order::Cut
            }
            None => {
                live.stop = Some(Stop { reason, run: run.clone(), is_lease_over: false });
                Order::Stop
            }
        };
        if let Some(commands) = &live.commands {
            _ = commands.try_send(command);
        }
    }

    /// Returns the reason to stop if the job was asked to stop.
    #[must_use]
    pub fn stop_asked(&self) -> Option<Stop> {
        self.lock().1.stop.clone()
    }
}
