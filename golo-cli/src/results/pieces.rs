//! Division of records that are too large to be sent to a collector in one call.
//!
//! The pieces of a snapshot are records of their own. Merged, they are the snapshot.

use std::collections::HashMap;

use golo_proto::engine::{self as pb, event::Event};
use golo_proto::results::{Record, record};
use prost::Message;

/// Size of a record in bytes above which it is divided, and of its pieces. Smaller than
/// [`COLLECTOR_CALL`](crate::http::COLLECTOR_CALL).
pub const PIECE: usize = 4 << 20;
/// Maximum size in bytes of an item's key and length in its snapshot.
const KEY: usize = 8;

/// Divides a record whose snapshot is too large. Returns all other records as they are. A piece with a single item that
/// is too large stays too large.
#[must_use]
pub fn divide(record: Record) -> Vec<Record> {
    if record.encoded_len() <= PIECE {
        return vec![record];
    }
    let Record { at, record: Some(record::Record::Event(pb::Event { event: Some(event) })) } = record else {
        return vec![record];
    };
    let (pieces, last) = match event {
        Event::Second(second) => {
            let (pieces, snapshot) = cut(second.snapshot);
            let second = pb::Second { snapshot: None, ..second };
            let piece = |piece| pb::Second { snapshot: Some(piece), ..second };
            (pieces.into_iter().map(piece).collect::<Vec<_>>(), Event::Second(pb::Second { snapshot, ..second }))
        }
        Event::Finished(finished) => {
            let (pieces, rest) = cut(finished.rest);
            let piece = |piece| pb::Second { snapshot: Some(piece), ..pb::Second::default() };
            (pieces.into_iter().map(piece).collect(), Event::Finished(pb::Finished { rest, ..finished }))
        }
        event => (Vec::new(), event),
    };
    let record = |event| Record { at, record: Some(record::Record::Event(golo::wire::event(event))) };
    pieces.into_iter().map(|second| record(Event::Second(second))).chain([record(last)]).collect()
}

/// Cuts a snapshot into pieces. Returns the last one separately, which has everything that is not in a list.
fn cut(snapshot: Option<pb::Snapshot>) -> (Vec<pb::Snapshot>, Option<pb::Snapshot>) {
    let Some(mut rest) = snapshot else { return (Vec::new(), None) };
    let mut lists = pb::Snapshot {
        requests: std::mem::take(&mut rest.requests),
        slowest: std::mem::take(&mut rest.slowest),
        checks: std::mem::take(&mut rest.checks),
        errors: std::mem::take(&mut rest.errors),
        redirects: std::mem::take(&mut rest.redirects),
        tags: std::mem::take(&mut rest.tags),
        after_load: std::mem::take(&mut rest.after_load),
        phases: std::mem::take(&mut rest.phases),
        scenarios: std::mem::take(&mut rest.scenarios),
        metrics: std::mem::take(&mut rest.metrics),
        refused_values: std::mem::take(&mut rest.refused_values),
        failures: std::mem::take(&mut rest.failures),
        ..pb::Snapshot::default()
    };
    let mut pieces = Pieces::default();
    pieces.add_requests(&mut lists);
    pieces.add(lists.slowest, |piece| &mut piece.slowest);
    pieces.add(lists.checks, |piece| &mut piece.checks);
    pieces.add(lists.errors, |piece| &mut piece.errors);
    pieces.add(lists.redirects, |piece| &mut piece.redirects);
    pieces.add(lists.tags, |piece| &mut piece.tags);
    pieces.add(lists.scenarios, |piece| &mut piece.scenarios);
    pieces.add(lists.metrics, |piece| &mut piece.metrics);
    pieces.add(lists.refused_values, |piece| &mut piece.refused_values);
    pieces.add(lists.failures, |piece| &mut piece.failures);
    rest.piece = pb::Piece::Last.into();
    (pieces.all, Some(rest))
}

/// Pieces of a snapshot. Items are added to the last one.
#[derive(Default)]
struct Pieces {
    all: Vec<pb::Snapshot>,
    /// Size of the last piece in bytes.
    size: usize,
}

impl Pieces {
    /// Returns the piece for the next `size` bytes.
    fn with_room(&mut self, size: usize) -> &mut pb::Snapshot {
        if self.all.is_empty() || self.size + size > PIECE {
            self.all.push(pb::Snapshot { piece: pb::Piece::Followed.into(), ..pb::Snapshot::default() });
            self.size = 0;
        }
        self.size += size;
        // It has just been added if there was none.
        let last = self.all.len() - 1;
        &mut self.all[last]
    }

    fn add<T: Message>(&mut self, items: Vec<T>, list: fn(&mut pb::Snapshot) -> &mut Vec<T>) {
        for item in items {
            list(self.with_room(item.encoded_len() + KEY)).push(item);
        }
    }

    /// Adds each series of requests together with its phases and its requests after the load, which name the series.
    fn add_requests(&mut self, lists: &mut pb::Snapshot) {
        let mut phases = by_series(std::mem::take(&mut lists.phases), |phases| phases.series.as_ref());
        let mut after_load = by_series(std::mem::take(&mut lists.after_load), |after| after.series.as_ref());
        for series in std::mem::take(&mut lists.requests) {
            let name = name(&series);
            let (phases, after_load) = (phases.remove(&name), after_load.remove(&name));
            let of = [phases.as_ref().map(Message::encoded_len), after_load.as_ref().map(Message::encoded_len)];
            let size = of.into_iter().flatten().sum::<usize>() + series.encoded_len() + 3 * KEY;
            let piece = self.with_room(size);
            piece.requests.push(series);
            piece.phases.extend(phases);
            piece.after_load.extend(after_load);
        }
    }
}

fn by_series<T>(items: Vec<T>, series: impl Fn(&T) -> Option<&pb::Series>) -> HashMap<Vec<u8>, T> {
    items.into_iter().filter_map(|item| Some((name(series(&item)?), item))).collect()
}

/// Returns what distinguishes a series from others: its label and its outcome.
fn name(series: &pb::Series) -> Vec<u8> {
    let pb::Series { label, outcome, is_content, .. } = series.clone();
    pb::Series { label, outcome, is_content, ..pb::Series::default() }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use golo::engine::snapshot::Snapshot;

    use super::*;

    fn event(record: &Record) -> &Event {
        let Some(record::Record::Event(pb::Event { event: Some(event) })) = &record.record else { panic!("no event") };
        event
    }

    fn large() -> pb::Snapshot {
        let text = |number: u64| format!("{number:04}{}", "x".repeat(20_000));
        let label = |number| pb::Label { origin: text(number), method: "GET".to_owned(), ..pb::Label::default() };
        let series = |number| pb::Series {
            label: Some(label(number)),
            outcome: Some(pb::series::Outcome::Answered(200)),
            ..pb::Series::default()
        };
        let check = |number| pb::Check { name: text(number), passed: 1 + number, failed: 2 };
        pb::Snapshot {
            requests: (0..300).map(|number| pb::Series { received: number, ..series(number) }).collect(),
            after_load: (0..300)
                .rev()
                .map(|number| pb::AfterLoad { series: Some(series(number)), count: number, ..Default::default() })
                .collect(),
            checks: (0..1000).map(check).collect(),
            triggers: Some(pb::Triggers { due: 5, done: 5, ..pb::Triggers::default() }),
            ..pb::Snapshot::default()
        }
    }

    #[test]
    fn pieces_are_small_and_merged_are_the_snapshot() {
        let second = pb::Second { elapsed: 3, users: 4, snapshot: Some(large()), connections: 5 };
        let finished = pb::Finished { rest: Some(large()), load_time: 7, ..pb::Finished::default() };
        for whole in [Event::Second(second), Event::Finished(finished)] {
            let record = Record { at: 9, record: Some(record::Record::Event(golo::wire::event(whole.clone()))) };
            let pieces = divide(record);
            assert!(pieces.len() > 5 && pieces.iter().all(|piece| piece.at == 9 && piece.encoded_len() < PIECE + 100));
            let mut merged = Snapshot::default();
            for (number, piece) in pieces.iter().enumerate() {
                let is_last = number == pieces.len() - 1;
                let snapshot = match event(piece) {
                    Event::Second(second) => second.snapshot.as_ref().unwrap(),
                    Event::Finished(finished) if is_last => finished.rest.as_ref().unwrap(),
                    other => panic!("{other:?}"),
                };
                assert_eq!(snapshot.piece(), if is_last { pb::Piece::Last } else { pb::Piece::Followed });
                merged.merge(&snapshot.try_into().unwrap());
            }
            assert_eq!(merged, Snapshot::try_from(&large()).unwrap());
            match (event(&pieces[pieces.len() - 1]), whole) {
                (Event::Second(last), Event::Second(whole)) => {
                    assert_eq!((last.elapsed, last.users, last.connections), (whole.elapsed, whole.users, 5));
                }
                (Event::Finished(last), Event::Finished(_)) => assert_eq!(last.load_time, 7),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn record_that_is_small_or_not_divisible_stays_whole() {
        let check = pb::Check { name: "x".repeat(PIECE), ..pb::Check::default() };
        let snapshot = pb::Snapshot { checks: vec![check], ..pb::Snapshot::default() };
        let second = |snapshot| Event::Second(pb::Second { snapshot: Some(snapshot), ..pb::Second::default() });
        let record = |event| Record { at: 1, record: Some(record::Record::Event(golo::wire::event(event))) };
        let small = record(second(pb::Snapshot::default()));
        assert_eq!(divide(small.clone()), [small]);
        assert_eq!(divide(record(second(snapshot))).len(), 2, "the large item is apart from the rest");
        let ended = golo_proto::results::Ended { reason: "x".repeat(PIECE), ..Default::default() };
        let ended = Record { at: 1, record: Some(record::Record::Ended(ended)) };
        assert_eq!(divide(ended.clone()), [ended]);
    }
}
