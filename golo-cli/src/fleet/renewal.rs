//! Renews the lease of a job while this process runs, so that the agent stops the job if this process vanishes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::part::Part;
use crate::http::client::CallError;

/// Interval between renewals of leases that are long enough.
const EVERY: Duration = Duration::from_secs(1);

/// Renews the lease of the part's job until the job is over.
pub(super) async fn renew(part: Arc<Part>, lease: Duration) {
    let mut ticks = interval(EVERY.min(lease / 4));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !part.is_over() {
        ticks.tick().await;
        let Some(job) = part.job() else { continue };
        match part.agent.renew(&job, lease / 3).await {
            // A call that did not arrive is repeated at the next tick.
            Ok(()) | Err(CallError::Away(_) | CallError::Local(_)) => {}
            Err(CallError::Refused(status, _)) if status.is_server_error() => {}
            // The job is stopping or over. Its records say why.
            Err(CallError::Refused(..)) => return,
        }
    }
}
