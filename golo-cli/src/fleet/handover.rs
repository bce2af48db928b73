//! Passes what the `setup` of a whole run has returned from the first agent to all others.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::each;
use super::part::Part;
use crate::http::client::CallError;
use crate::support::failure::Failure;

/// Longest time that a call may wait for the value.
const WAIT: Duration = Duration::from_secs(5);
/// Pause after a call that did not arrive. Agents that are lost are reported by those who follow their records.
const AGAIN: Duration = Duration::from_millis(200);

/// Waits until the load test of the first part has run the `setup` of the whole run, and passes its value to all others.
/// Returns at once if `setup` runs in each process.
///
/// # Errors
///
/// Returns an error that names the agents that refuse the value.
pub(super) async fn hand_over_setup(parts: &[Arc<Part>]) -> Result<(), Failure> {
    let Some((first, others)) = parts.split_first().filter(|(_, others)| !others.is_empty()) else { return Ok(()) };
    let Some(value) = returned(first).await else { return Ok(()) };
    first.set_up();
    let giving = |part: Arc<Part>| {
        let value = value.clone();
        async move { give(&part, value).await }
    };
    each(others, giving).await.map(drop)
}

/// Waits for the value. Returns `None` if there will be none.
async fn returned(part: &Part) -> Option<Bytes> {
    let job = part.job()?;
    loop {
        match part.agent.setup_value(&job, WAIT).await {
            Ok(Some(value)) => return Some(value),
            Ok(None) => {}
            Err(CallError::Refused(status, _)) if !status.is_server_error() => return None,
            Err(_) => sleep(AGAIN).await,
        }
    }
}

async fn give(part: &Part, value: Bytes) -> Result<(), CallError> {
    let Some(job) = part.job() else { return Ok(()) };
    loop {
        match part.agent.give_setup(&job, value.clone()).await {
            // The records of a job that is over say why it ended.
            Err(CallError::Refused(reqwest::StatusCode::CONFLICT, _)) => return Ok(()),
            Err(CallError::Away(_)) if !part.is_over() => sleep(AGAIN).await,
            given => return given,
        }
    }
}
