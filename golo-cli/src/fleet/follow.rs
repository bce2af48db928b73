//! Receives the records of an agent's job while the agent can be reached.

use std::sync::Arc;
use std::time::Duration;

use golo::pb::results::{Record, record::Record as Kind};
use reqwest::StatusCode;
use tokio::sync::mpsc;

use super::part::Part;
use super::patience::Patience;
use crate::{http::client::CallError, results::keep::Keeper};

/// Longest time that a call may wait for records.
const WAIT: Duration = Duration::from_secs(2);

/// An event of a part.
#[derive(Debug)]
pub enum MemberEvent {
    /// The agent has recorded this.
    Record(Box<Record>),
    /// The agent was lost for this reason, and no further record comes.
    Lost(String),
}

/// Sends the records of part number `index` to `events` and stores them with `keeper`, in order and each once. Returns
/// after the last record, or once the agent is lost.
pub async fn follow(index: usize, part: Arc<Part>, events: mpsc::Sender<(usize, MemberEvent)>, keeper: Option<Keeper>) {
    let Some(job) = part.job() else { return };
    let mut next = 0;
    let mut patience = Patience::new(&part.standstill);
    loop {
        match part.agent.records(&job, next, WAIT).await {
            Ok(records) => {
                for record in records {
                    next += 1;
                    let is_last = matches!(record.record, Some(Kind::Ended(_)));
                    if let Some(keeper) = &keeper {
                        keeper.keep_in_turn(index, record.clone()).await;
                        part.keep(is_last);
                    }
                    if is_last {
                        part.end();
                    }
                    let is_received = events.send((index, MemberEvent::Record(Box::new(record)))).await.is_ok();
                    if is_last || (!is_received && keeper.is_none()) {
                        return;
                    }
                }
                // The time in which this process was busy with the records is not the agent's silence.
                patience.restore();
            }
            Err(error) if is_final(&error) || !patience.wait().await => {
                let reason = match error {
                    CallError::Refused(StatusCode::NOT_FOUND, _) => "it does not have its job any more".to_owned(),
                    error => error.to_string(),
                };
                _ = events.send((index, MemberEvent::Lost(reason))).await;
                return;
            }
            Err(_) => {}
        }
    }
}

/// Returns true if it is useless to repeat the call.
fn is_final(error: &CallError) -> bool {
    match error {
        CallError::Away(_) => false,
        CallError::Local(_) => true,
        CallError::Refused(status, _) => !status.is_server_error() && *status != StatusCode::TOO_MANY_REQUESTS,
    }
}
