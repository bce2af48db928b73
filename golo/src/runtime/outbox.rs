//! Events of a plan that wait to be sent to its client. They are kept apart from the run, so that a slow client does
//! not delay it.

use std::collections::VecDeque;

use tokio::sync::mpsc::Permit;
use tonic::Status;

use super::line_buffer::{ENOUGH, lines_of};
use crate::engine::Progress;
use crate::pb::engine as pb;
use crate::pb::engine::event::Event;
use crate::wire;

/// Largest number of bytes of raw outputs that are on their way: two pieces. The
/// [`LineBuffer`](super::line_buffer::LineBuffer) keeps the others.
const WINDOW: u64 = 2 * ENOUGH as u64;
/// Largest number of seconds that wait separately. Later ones are merged into the last.
const SECONDS: usize = 60;

/// Events that wait until they can be sent, in order.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Event>,
    /// Bytes of raw outputs that the client has not confirmed yet.
    on_the_way: u64,
    /// True if the client is gone.
    is_closed: bool,
}

impl Outbox {
    /// Queues `event` until it can be sent.
    pub(super) fn push(&mut self, event: Event) {
        if self.is_closed {
            return;
        }
        let merged = match (&event, self.waiting.back()) {
            (Event::Second(second), Some(Event::Second(last))) if self.waiting.len() >= SECONDS => merged(last, second),
            _ => None,
        };
        match (merged, self.waiting.back_mut()) {
            (Some(merged), Some(last)) => *last = merged,
            _ => self.waiting.push_back(event),
        }
    }

    /// Returns true if raw outputs may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.is_closed || self.on_the_way < WINDOW
    }

    /// Queues raw outputs until they can be sent.
    pub(super) fn push_outputs(&mut self, lines: Vec<u8>) {
        if !self.is_closed {
            self.on_the_way += lines.len() as u64;
            self.waiting.push_back(Event::Outputs(pb::Outputs { lines }));
        }
    }

    /// Records that the client has read this number of bytes of raw outputs.
    pub(super) fn taken(&mut self, bytes: u64) {
        self.on_the_way = self.on_the_way.saturating_sub(bytes);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends the oldest event.
    pub(super) fn send(&mut self, permit: Permit<'_, Result<pb::Event, Status>>) {
        if let Some(event) = self.waiting.pop_front() {
            permit.send(Ok(wire::event(event)));
        }
    }

    /// Drops the raw outputs that have not been sent, and returns their number of lines.
    pub(super) fn forget_outputs(&mut self) -> u64 {
        let mut lines = 0;
        self.waiting.retain(|event| match event {
            Event::Outputs(outputs) => {
                lines += lines_of(&outputs.lines);
                false
            }
            _ => true,
        });
        lines
    }

    /// Drops all events and ignores later ones, because the client is gone.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.waiting.clear();
    }
}

/// Merges two consecutive seconds into one.
fn merged(last: &pb::Second, next: &pb::Second) -> Option<Event> {
    let (last, next) = (wire::progress(last).ok()?, wire::progress(next).ok()?);
    let mut second = last.second;
    second.merge(&next.second);
    Some(Event::from(&Progress { second, ..next }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(elapsed: u64) -> Event {
        let triggers = pb::Triggers { due: 3, done: 2, ..pb::Triggers::default() };
        let snapshot = pb::Snapshot { triggers: Some(triggers), ..pb::Snapshot::default() };
        Event::Second(pb::Second {
            elapsed: elapsed * 1_000_000_000,
            users: elapsed,
            snapshot: Some(snapshot),
            connections: 0,
        })
    }

    #[tokio::test]
    async fn unread_seconds_are_merged_and_none_is_lost() {
        let mut outbox = Outbox::default();
        (1..=1000).for_each(|elapsed| outbox.push(second(elapsed)));
        assert_eq!(outbox.waiting.len(), SECONDS);
        let (events, mut sent) = tokio::sync::mpsc::channel(1);
        let mut done = 0;
        while !outbox.is_empty() {
            outbox.send(events.reserve().await.unwrap());
            let Some(Event::Second(second)) = sent.recv().await.unwrap().unwrap().event else { panic!("no second") };
            done += second.snapshot.unwrap().triggers.unwrap().done;
            assert!(!outbox.is_empty() || (second.elapsed, second.users) == (1000 * 1_000_000_000, 1000));
        }
        assert_eq!(done, 2000);
    }

    #[test]
    fn outputs_wait_for_the_client_and_other_events_do_not() {
        let mut outbox = Outbox::default();
        let mut sent = 0;
        while outbox.has_room() {
            outbox.push_outputs(vec![b'\n'; ENOUGH]);
            sent += ENOUGH as u64;
        }
        assert_eq!(sent, WINDOW);
        outbox.push(second(1));
        outbox.taken(1);
        assert!(outbox.has_room());
        assert_eq!((outbox.forget_outputs(), outbox.waiting.len()), (sent, 1));
        outbox.close();
        outbox.push(second(2));
        assert!(outbox.is_empty() && outbox.has_room());
    }
}
