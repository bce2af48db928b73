//! Takes what an agent measures, record after record, for as long as it can be reached.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use golo::pb::results::{Record, record::Record as Kind};
use reqwest::StatusCode;
use tokio::{sync::mpsc, time::sleep};

use super::part::Part;
use crate::{http::client::CallError, results::keep::Keeper};

/// How long an agent is waited for that cannot be reached.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a call may wait for records.
const WAIT: Duration = Duration::from_secs(2);
/// The pause after a call that failed: twice as long after each, up to the longest.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// What is heard of a part.
#[derive(Debug)]
pub enum Told {
    /// This was recorded.
    Record(Box<Record>),
    /// Nothing more comes, for this reason.
    Lost(String),
}

/// Sends what is recorded of part number `index` to `told`, and has it kept, in order and once, until that is all or the
/// agent is lost.
pub async fn follow((index, part): (usize, Arc<Part>), told: mpsc::Sender<(usize, Told)>, keeper: Option<Keeper>) {
    let Some(job) = part.job() else { return };
    let mut next = 0;
    let mut heard = Instant::now();
    let mut pause = PAUSE;
    loop {
        match part.agent.records(&job, next, WAIT).await {
            Ok(records) => {
                (heard, pause) = (Instant::now(), PAUSE);
                for record in records {
                    next += 1;
                    let is_last = matches!(record.record, Some(Kind::Ended(_)));
                    if let Some(keeper) = &keeper {
                        keeper.keep(index, record.clone());
                        part.keep(is_last);
                    }
                    if is_last {
                        part.end();
                    }
                    let is_heard = told.send((index, Told::Record(Box::new(record)))).await.is_ok();
                    if is_last || (!is_heard && keeper.is_none()) {
                        return;
                    }
                }
            }
            Err(error) if is_final(&error) || heard.elapsed() >= PATIENCE => {
                let reason = match error {
                    CallError::Refused(StatusCode::NOT_FOUND, _) => "it knows nothing of its job any more".to_owned(),
                    error => error.to_string(),
                };
                _ = told.send((index, Told::Lost(reason))).await;
                return;
            }
            Err(_) => {
                sleep(pause.min(PATIENCE.saturating_sub(heard.elapsed()))).await;
                pause = (2 * pause).min(LONGEST);
            }
        }
    }
}

/// Whether it is no use to ask again.
fn is_final(error: &CallError) -> bool {
    match error {
        CallError::Away(_) => false,
        CallError::Refused(status, _) => !status.is_server_error() && *status != StatusCode::TOO_MANY_REQUESTS,
    }
}
