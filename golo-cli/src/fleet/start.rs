//! Starts all agents at the same time, each by its own clock.

use std::{sync::Arc, time::Duration};

use golo::wire::nanoseconds;
use tokio::sync::{Semaphore, mpsc, watch};

use super::clock::{Clock, Offset};
use super::each_result;
use super::follow::MemberEvent;
use super::orders::{Order, OrderState};
use super::part::Part;
use super::patience::patiently;
use crate::http::client::CallError;

/// Number of times that each agent is asked for its time.
const ROUNDS: usize = 9;
/// Most agents that are asked for their time at once. Answers to more would wait for each other, which makes the round trips
/// longer and the offsets less certain.
const ASKED: usize = 64;
/// Shortest time between the call to start and the start.
const AHEAD: Duration = Duration::from_millis(200);
/// Further time for the call to each agent.
const EACH: Duration = Duration::from_millis(1);

/// Measures the offset of each agent's clock, sends the offsets to `known`, and starts all parts. Reports parts that
/// cannot start to `events` as lost. Gives up once there is an order to stop.
pub(super) async fn start(
    parts: Vec<Arc<Part>>,
    clock: Clock,
    known: watch::Sender<Vec<Option<Offset>>>,
    mut orders: watch::Receiver<OrderState>,
    events: mpsc::Sender<(usize, MemberEvent)>,
) {
    let starting = async {
        let turns = Arc::new(Semaphore::new(ASKED));
        let measured = each_result(&parts, |part| {
            let turns = Arc::clone(&turns);
            async move {
                // It is never closed.
                let _turn = turns.acquire().await;
                measure(&part, &clock).await
            }
        })
        .await;
        let mut offsets = Vec::new();
        for (index, measured) in measured.into_iter().enumerate() {
            if let Err(error) = &measured {
                _ = events.send((index, MemberEvent::Lost(error.to_string()))).await;
            }
            offsets.push(measured.ok());
        }
        known.send_replace(offsets.clone());
        // A round trip takes twice the uncertainty.
        let worst = offsets.iter().flatten().map(|offset| 2 * offset.uncertainty).max().unwrap_or_default();
        let calls = EACH.saturating_mul(u32::try_from(parts.len()).unwrap_or(u32::MAX));
        let at = clock.now() + nanoseconds(AHEAD.max(4 * worst) + calls);
        let offsets = Arc::new(offsets);
        let index = |part: &Arc<Part>| parts.iter().position(|other| Arc::ptr_eq(part, other));
        let begun = each_result(&parts, |part| {
            let offset = index(&part).and_then(|index| offsets[index]);
            async move {
                match (offset, part.job()) {
                    (Some(offset), Some(job)) => {
                        let ahead = i64::try_from(offset.ahead).unwrap_or_default();
                        patiently(&part.standstill, || part.agent.start(&job, offset.there(at), ahead)).await
                    }
                    // Reported as lost already.
                    _ => Ok(()),
                }
            }
        })
        .await;
        for (index, begun) in begun.into_iter().enumerate() {
            if let Err(error) = begun {
                _ = events.send((index, MemberEvent::Lost(format!("it could not be started: {error}")))).await;
            }
        }
    };
    tokio::select! {
        () = starting => {}
        _ = orders.wait_for(|orders| orders.order > Order::Run) => {}
    }
}

/// Measures the offset of the clock of a part's agent.
///
/// # Errors
///
/// Returns an error if the agent does not answer.
pub(super) async fn measure(part: &Part, clock: &Clock) -> Result<Offset, CallError> {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        rounds.push(patiently(&part.standstill, || part.agent.time(clock)).await?);
    }
    Offset::estimate(&rounds).ok_or_else(|| CallError::Away("its clock could not be read".to_owned()))
}
