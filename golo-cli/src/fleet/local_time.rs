//! Converts the times in an agent's events to the local clock.

use golo::pb::engine::{Snapshot, event::Event};

use super::clock::Offset;

/// Converts the times in `event`, which are by the agent's clock, to the local one.
pub(super) fn to_local_time(event: &mut Event, offset: &Offset) {
    match event {
        Event::Started(started) => started.at = offset.here(started.at),
        Event::Second(second) => second.snapshot.iter_mut().for_each(|snapshot| change(snapshot, offset)),
        Event::Finished(finished) => {
            finished.started_at = finished.started_at.map(|at| offset.here(at));
            finished.rest.iter_mut().for_each(|snapshot| change(snapshot, offset));
        }
        Event::Accepted(_)
        | Event::Planned(_)
        | Event::Ready(_)
        | Event::Outputs(_)
        | Event::SetUp(_)
        | Event::Adjusted(_) => {}
    }
}

fn change(snapshot: &mut Snapshot, offset: &Offset) {
    for journey in &mut snapshot.slowest {
        journey.started = offset.here(journey.started);
        journey.ended = offset.here(journey.ended);
        for step in &mut journey.steps {
            step.started = offset.here(step.started);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use golo::pb::engine::{Finished, Journey, Second, Started, Step};

    use super::*;

    #[test]
    fn times_are_converted_and_durations_are_not() {
        let offset = Offset { ahead: 100, uncertainty: Duration::ZERO };
        let snapshot = |by: u64| {
            let steps = vec![Step { started: 1_100 - by, duration: 5, ..Step::default() }];
            let slowest = vec![Journey { started: 1_100 - by, ended: 1_200 - by, steps, ..Journey::default() }];
            Some(Snapshot { slowest, ..Snapshot::default() })
        };
        let events = |by: u64| {
            [
                Event::Started(Started { at: 1_000 - by }),
                Event::Second(Second { elapsed: 7, users: 1, snapshot: snapshot(by), connections: 0 }),
                Event::Finished(Finished {
                    rest: snapshot(by),
                    started_at: Some(1_000 - by),
                    load_time: 9,
                    ..Finished::default()
                }),
            ]
        };
        let mut moved = events(0);
        moved.iter_mut().for_each(|event| to_local_time(event, &offset));
        assert_eq!(moved, events(100));
    }
}
