//! Converts the times in an agent's events from the agent's clock to that of the process that drives the whole run.

use golo::pb::engine::{Snapshot, event::Event};

/// Converts a time by a clock that is this many nanoseconds ahead of the local one.
#[must_use]
pub fn local(there: u64, ahead: i128) -> u64 {
    u64::try_from((i128::from(there) - ahead).max(0)).unwrap_or(u64::MAX)
}

/// Converts the times in `event`, which are by the agent's clock, to the local one.
pub fn to_local_time(event: &mut Event, ahead: i128) {
    match event {
        Event::Started(started) => started.at = local(started.at, ahead),
        Event::Second(second) => second.snapshot.iter_mut().for_each(|snapshot| change(snapshot, ahead)),
        Event::Finished(finished) => {
            finished.started_at = finished.started_at.map(|at| local(at, ahead));
            finished.rest.iter_mut().for_each(|snapshot| change(snapshot, ahead));
        }
        Event::Accepted(_)
        | Event::Planned(_)
        | Event::Ready(_)
        | Event::Outputs(_)
        | Event::SetUp(_)
        | Event::Adjusted(_) => {}
    }
}

fn change(snapshot: &mut Snapshot, ahead: i128) {
    for journey in &mut snapshot.slowest {
        journey.started = local(journey.started, ahead);
        journey.ended = local(journey.ended, ahead);
        for step in &mut journey.steps {
            step.started = local(step.started, ahead);
        }
    }
}

#[cfg(test)]
mod tests {
    use golo::pb::engine::{Finished, Journey, Second, Started, Step};

    use super::*;

    #[test]
    fn times_are_converted_and_durations_are_not() {
        let snapshot = |by: u64| {
            let steps = vec![Step { started: 1_100 - by, duration: 5, ..Step::default() }];
            let slowest = vec![Journey { started: 1_100 - by, ended: 1_200 - by, steps, ..Journey::default() }];
            Some(Snapshot { slowest, ..Snapshot::default() })
        };
        let events = |by: u64| {
            [
                Event::Started(Started { at: 1_000 - by, ahead: 100 }),
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
        moved.iter_mut().for_each(|event| to_local_time(event, 100));
        assert_eq!(moved, events(100));
    }
}
