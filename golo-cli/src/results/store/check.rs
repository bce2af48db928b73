//! Checks of records before they are stored, so that SQL queries and replays can process them later.

use golo::engine::failures::SAMPLES;
use golo::{engine::plan::Plan, report::Threshold};
use golo_proto::engine as pb;
use golo_proto::engine::event::Event;
use golo_proto::engine::metric_series::Value as Metric;
use golo_proto::results::{Record, record};

use super::StoreError;

/// Maximum value of a count. The sum over a thousand parts still fits into an SQLite integer, and JSON represents each
/// count exactly.
const MOST: u64 = 1 << 53;

/// Checks that a replay can parse the thresholds.
pub(super) fn thresholds(written: &[String]) -> Result<(), StoreError> {
    for text in written {
        if let Err(error) = text.parse::<Threshold>() {
            // The further lines mark the place in the text, for terminals.
            let error = error.to_string();
            let reason = error.lines().next().unwrap_or_default();
            return Err(StoreError::refused(format!("its threshold `{text}`: {reason}")));
        }
    }
    Ok(())
}

/// Checks the values of an event. The form of its snapshot is checked elsewhere.
pub(super) fn record(record: &Record) -> Result<(), StoreError> {
    let Some(record::Record::Event(pb::Event { event: Some(event) })) = &record.record else { return Ok(()) };
    match event {
        Event::Second(second) => {
            count("users", second.users)?;
            count("connections", second.connections)?;
            second.snapshot.as_ref().map_or(Ok(()), snapshot)
        }
        Event::Finished(finished) => {
            let load = finished.load.as_ref().ok_or_else(|| StoreError::refused("a `Finished` without a load"))?;
            Plan::try_from(load)?;
            count("users", finished.most_users)?;
            count("connections", finished.most_connections)?;
            finished.rest.as_ref().map_or(Ok(()), snapshot)
        }
        Event::Planned(planned) => {
            planned.load.as_ref().map(Plan::try_from).transpose()?;
            Ok(())
        }
        Event::Adjusted(adjusted) => {
            adjusted.load.as_ref().map(Plan::try_from).transpose()?;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn of_triggers(triggers: &pb::Triggers) -> Result<(), StoreError> {
    let pb::Triggers {
        due,
        done,
        failed,
        panicked,
        interrupted,
        dropped_busy,
        dropped_unready,
        dropped_stopped,
        service,
        response,
        dropped_pausing,
        done_after_load,
        ..
    } = triggers;
    for (what, counted) in [
        ("due triggers", due),
        ("triggers", done),
        ("failed triggers", failed),
        ("panics", panicked),
        ("interrupted triggers", interrupted),
        ("dropped triggers", dropped_pausing),
        ("triggers after the load", done_after_load),
    ] {
        count(what, *counted)?;
    }
    count("dropped triggers", dropped_busy.saturating_add(*dropped_unready).saturating_add(*dropped_stopped))?;
    histogram("triggers", service.as_ref())?;
    histogram("triggers", response.as_ref())
}

fn snapshot(snapshot: &pb::Snapshot) -> Result<(), StoreError> {
    let pb::Snapshot {
        requests,
        triggers,
        scenarios,
        journeys,
        slowest,
        waiting,
        connects,
        checks,
        errors,
        generator,
        tags: kept_tags,
        tags_beyond,
        requests_from_tags,
        user_starts,
        start_waits,
        redirects,
        after_load,
        phases,
        connections,
        metrics: kept_metrics,
        refused_values,
        tag_values_beyond,
        failures,
        piece: _,
    } = snapshot;
    count("tags", *tag_values_beyond)?;
    refused_values.iter().try_for_each(|refused| count("refused values", refused.count))?;
    metrics(kept_metrics)?;
    for pb::Series { durations, received, sent, .. } in requests {
        histogram("requests", durations.as_ref())?;
        count("received bytes", *received)?;
        count("sent bytes", *sent)?;
    }
    for pb::AfterLoad { count: number, received, sent, .. } in after_load {
        count("requests after the load", *number)?;
        count("received bytes", *received)?;
        count("sent bytes", *sent)?;
    }
    phases.iter().try_for_each(phases_of_series)?;
    if failures.len() > SAMPLES {
        let number = failures.len();
        return Err(StoreError::refused(format!("{number} samples of failed requests: there are at most {SAMPLES}")));
    }
    failures.iter().try_for_each(|failure| count("steps of a journey", failure.further_steps))?;
    connections.as_ref().map_or(Ok(()), connections_of_transport)?;
    triggers.as_ref().map_or(Ok(()), of_triggers)?;
    scenarios.iter().filter_map(|scenario| scenario.triggers.as_ref()).try_for_each(of_triggers)?;
    for (what, of) in [
        ("journeys", journeys),
        ("waits", waiting),
        ("connections", connects),
        ("starts of users", user_starts),
        ("late starts", start_waits),
    ] {
        histogram(what, of.as_ref())?;
    }
    slowest.iter().try_for_each(|journey| count("steps of a journey", journey.further))?;
    for pb::Check { passed, failed, .. } in checks {
        count("checks", *passed)?;
        count("checks", *failed)?;
    }
    errors.iter().try_for_each(|error| count("errors", error.count))?;
    tags(kept_tags)?;
    count("tags", *tags_beyond)?;
    count("requests of tags", *requests_from_tags)?;
    for pb::Redirects { followed, at_least, .. } in redirects {
        count("redirects", *followed)?;
        count("redirected requests", *at_least)?;
    }
    if let Some(generator) = generator {
        let pb::Generator {
            lag,
            busy: _,
            time: _,
            foreign,
            without_descriptor,
            without_port,
            users_failed,
            users_started,
            warm_up_triggers,
            warm_up_requests,
            warm_up_connections,
            user_requests,
            user_connections,
            stray_panics,
            stops_cut_off,
            overdue,
        } = generator;
        histogram("starts", lag.as_ref())?;
        for (what, counted) in [
            ("requests of other threads", foreign),
            ("missing descriptors", without_descriptor),
            ("missing ports", without_port),
            ("users", users_failed),
            ("users", users_started),
            ("panics", stray_panics),
            ("users", stops_cut_off),
            ("late starts", overdue),
            ("triggers of the warm-up", warm_up_triggers),
            ("requests of the warm-up", warm_up_requests),
            ("connections of the warm-up", warm_up_connections),
            ("requests of users", user_requests),
            ("connections of users", user_connections),
        ] {
            count(what, *counted)?;
        }
    }
    Ok(())
}

fn phases_of_series(phases: &pb::Phases) -> Result<(), StoreError> {
    let pb::Phases {
        series: _,
        requests,
        only_waiting,
        blocked,
        dns,
        connecting,
        tls_handshaking,
        sending,
        waiting,
        receiving,
    } = phases;
    count("requests with phases", *requests)?;
    count("waits", *only_waiting)?;
    let phases = [blocked, dns, connecting, tls_handshaking, sending, waiting, receiving];
    phases.into_iter().try_for_each(|phase| histogram("phases", phase.as_ref()))
}

fn connections_of_transport(connections: &pb::Connections) -> Result<(), StoreError> {
    let pb::Connections {
        http1,
        http2,
        http3,
        handshakes_full,
        handshakes_resumed,
        used,
        reused,
        closed_by_server,
        resent,
    } = *connections;
    for (what, counted) in [
        ("connections", http1),
        ("connections", http2),
        ("connections", http3),
        ("TLS handshakes", handshakes_full),
        ("TLS handshakes", handshakes_resumed),
        ("connections", used),
        ("requests on reused connections", reused),
        ("closed connections", closed_by_server),
        ("resent requests", resent),
    ] {
        count(what, counted)?;
    }
    Ok(())
}

fn tags(tags: &[pb::Tag]) -> Result<(), StoreError> {
    for tag in tags {
        let pb::Tag { key: _, values, other_passed, other_failed, texts_passed, texts_failed, .. } = tag;
        for counted in [other_passed, other_failed, texts_passed, texts_failed] {
            count("tags", *counted)?;
        }
        for pb::TagValue { passed, failed, .. } in values {
            count("tags", *passed)?;
            count("tags", *failed)?;
        }
        for numbers in [&tag.passed, &tag.passed_below, &tag.failed, &tag.failed_below] {
            histogram("tags", numbers.as_ref())?;
        }
    }
    Ok(())
}

fn metrics(metrics: &[pb::Metric]) -> Result<(), StoreError> {
    let series = metrics.iter().flat_map(|metric| &metric.series);
    series.filter_map(|series| series.value.as_ref()).try_for_each(|value| match value {
        Metric::Counter(pb::Sum { count: number, whole, .. }) => {
            count("values of a counter", *number)?;
            count("units of a counter", *whole)
        }
        Metric::Gauge(level) => count("values of a gauge", level.count),
        Metric::Trend(pb::Numbers { above, below }) => {
            histogram("values of a trend", above.as_ref())?;
            histogram("values of a trend", below.as_ref())
        }
        Metric::Rate(truths) => count("values of a rate", truths.of),
        Metric::Group(group) => {
            histogram("groups", group.durations.as_ref())?;
            count("failed groups", group.failed)?;
            count("interrupted groups", group.interrupted)
        }
    })
}

fn histogram(what: &str, written: Option<&pb::Histogram>) -> Result<(), StoreError> {
    let counts = written.map_or(&[][..], |written| &written.counts);
    count(what, counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count)))
}

fn count(what: &str, counted: u64) -> Result<(), StoreError> {
    match counted <= MOST {
        true => Ok(()),
        false => Err(StoreError::refused(format!("{counted} {what}: a count is at most 2^53"))),
    }
}
