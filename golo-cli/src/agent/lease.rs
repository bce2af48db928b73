//! Leases of jobs. A job that was queued with a lease goes on only while its client renews it. Otherwise the agent stops
//! it, so that a client that has vanished leaves neither load nor a blocked queue behind.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use golo::cli::say;
use golo::report::duration;
use golo_proto::results::{Ended, ended::State};
use tokio::time::{Instant, sleep, sleep_until};

use super::job::Job;
use super::jobs::Agent;
use crate::drive::run_end::RunEnd;

/// Shortest lease.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// Longest lease.
pub const LONGEST: Duration = Duration::from_secs(3600);
/// Time after the end of a lease in which renewals that have already arrived are read, for example after the agent was
/// suspended.
const UNREAD: Duration = Duration::from_millis(200);
/// Time of a job whose lease ran out to finish its triggers, before they are cut off.
const CUT: Duration = Duration::from_secs(9);

/// The lease of a job, by the agent's own clock.
#[derive(Debug)]
pub struct Lease {
    length: Duration,
    renewed: Mutex<Instant>,
}

impl Lease {
    /// Creates a lease that has just been renewed.
    #[must_use]
    pub fn new(length: Duration) -> Self {
        Self { length, renewed: Mutex::new(Instant::now()) }
    }

    /// Renews the lease.
    pub fn renew(&self) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn end(&self) -> Instant {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) + self.length
    }

    /// Waits until the lease has run out.
    async fn run_out(&self) {
        while self.end() > Instant::now() {
            sleep_until(self.end()).await;
            sleep(UNREAD).await;
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
        write!(f, "the lease of {} ran out: the client gave no sign of life", duration(self.length))
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
                lease.renew();
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
    async fn renewal_that_is_read_late_counts() {
        let lease = Lease::new(Duration::from_secs(10));
        let begun = Instant::now();
        let late = async {
            sleep(Duration::from_secs(10) + UNREAD / 2).await;
            lease.renew();
            std::future::pending().await
        };
        tokio::select! {
            () = lease.run_out() => {}
            () = late => {}
        }
        assert_eq!(begun.elapsed().as_secs(), 20);
    }
}
