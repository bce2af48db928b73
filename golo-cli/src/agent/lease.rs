//! Leases of jobs. A job that was queued with a lease goes on only while its client renews it. Otherwise the agent stops
//! it, so that a client that has vanished leaves neither load nor a blocked queue behind.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use golo::cli::say;
use golo::report::duration;
use golo_proto::results::{Ended, ended::State};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::job::Job;
use super::jobs::Agent;
use crate::drive::run_end::RunEnd;

/// Shortest lease.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// Longest lease that a job can be queued with. It also limits the time for which a client that was killed blocks a queue.
pub const LONGEST: Duration = Duration::from_secs(3600);
/// Longest lease of a job whose load has started. Its client may leave it for that time.
pub const LONGEST_DETACHED: Duration = Duration::from_secs(7 * 24 * 3600);
/// Time after the end of a lease in which renewals that have already arrived are read, for example after the agent was
/// suspended.
const UNREAD: Duration = Duration::from_millis(200);
/// Time of a job whose lease ran out to finish its triggers, before they are cut off.
const CUT: Duration = Duration::from_secs(9);

/// The lease of a job, by the agent's own clock.
#[derive(Debug)]
pub struct Lease {
    term: watch::Sender<Term>,
}

/// Time for which a lease lasts.
#[derive(Debug, Clone, Copy)]
struct Term {
    length: Duration,
    renewed: Instant,
}

impl Lease {
    /// Creates a lease that has just been renewed.
    #[must_use]
    pub fn new(length: Duration) -> Self {
        Self { term: watch::Sender::new(Term { length, renewed: Instant::now() }) }
    }

    /// Renews the lease. Sets its length from now on if one is given.
    pub fn renew(&self, length: Option<Duration>) {
        self.term.send_modify(|term| *term = Term { length: length.unwrap_or(term.length), renewed: Instant::now() });
    }

    /// Waits until the lease has run out.
    async fn run_out(&self) {
        let mut terms = self.term.subscribe();
        loop {
            let Term { length, renewed } = *terms.borrow_and_update();
            let over = async {
                sleep_until(renewed + length).await;
                sleep(UNREAD).await;
            };
            tokio::select! {
                biased;
                // The sender is in `self`.
                _ = terms.changed() => {}
                () = over => return,
            }
        }
    }

    /// Returns the last record of a job that ended because its lease ran out.
    #[must_use]
    pub fn end_of_job(&self, ended: Ended) -> Ended {
        let reason = self.to_string();
        let died = reason.clone();
        Ended { state: State::Failed.into(), reason, died, lease_over: true, stopped: None, by_order: false, ..ended }
    }
}

impl fmt::Display for Lease {
    /// The reason of a job whose lease ran out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.term.borrow().length;
        write!(f, "the lease of {} ran out: the client gave no sign of life", duration(length))
    }
}

impl Agent {
    /// Stops the job once its lease has run out. Without effect on a job without a lease.
    pub fn watch_lease(self: &Arc<Self>, job: &Arc<Job>) {
        if job.lease.is_some() {
            let (agent, job) = (Arc::clone(self), Arc::clone(job));
            tokio::spawn(async move { agent.stop_after_lease(&job).await });
        }
    }

    async fn stop_after_lease(self: &Arc<Self>, job: &Arc<Job>) {
        let Some(lease) = &job.lease else { return };
        let mut extent = job.extents();
        tokio::select! {
            () = lease.run_out() => {}
            // The sender is in the job.
            _ = extent.wait_for(|extent| extent.has_ended) => return,
        }
        if self.withdraw_queued(job) {
            say(format_args!("golo agent: the job {} does not start: {lease}", job.id));
            return self.end(job, lease.end_of_job(Ended::default())).await;
        }
        if job.stop_for_lease() {
            say(format_args!("golo agent: stopping the job {}: {lease}", job.id));
            sleep(CUT).await;
            if !job.state().is_over() {
                job.stop("its lease ran out", &RunEnd::default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lease_runs_out_after_its_last_renewal() {
        let lease = Lease::new(Duration::from_secs(10));
        let begun = Instant::now();
        let renewing = async {
            for _ in 0..3 {
                sleep(Duration::from_secs(9)).await;
                lease.renew(None);
            }
            std::future::pending().await
        };
        tokio::select! {
            () = lease.run_out() => {}
            () = renewing => {}
        }
        assert_eq!(begun.elapsed().as_secs(), 27 + 10);
    }

    #[tokio::test(start_paused = true)]
    async fn lease_with_a_new_length_keeps_it_when_it_is_renewed() {
        for (length, expected) in [(100, 9 + 9 + 100), (2, 9 + 2)] {
            let lease = Lease::new(Duration::from_secs(10));
            let begun = Instant::now();
            let renewing = async {
                sleep(Duration::from_secs(9)).await;
                lease.renew(Some(Duration::from_secs(length)));
                sleep(Duration::from_secs(9)).await;
                lease.renew(None);
                std::future::pending().await
            };
            tokio::select! {
                () = lease.run_out() => {}
                () = renewing => {}
            }
            assert_eq!(begun.elapsed().as_secs(), expected, "{length}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn renewal_that_is_read_late_counts() {
        let lease = Lease::new(Duration::from_secs(10));
        let begun = Instant::now();
        let late = async {
            sleep(Duration::from_secs(10) + UNREAD / 2).await;
            lease.renew(None);
            std::future::pending().await
        };
        tokio::select! {
            () = lease.run_out() => {}
            () = late => {}
        }
        assert_eq!(begun.elapsed().as_secs(), 20);
    }
}
