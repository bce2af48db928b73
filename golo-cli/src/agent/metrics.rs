//! The agent's metrics in Prometheus text format.

use std::{fmt::Write as _, sync::atomic::Ordering::Relaxed};

use super::{jobs::Agent, kept::State};

/// Returns all metrics. `bytes` is the size of the database.
pub(super) fn text(agent: &Agent, bytes: u64) -> String {
    let mut text = String::new();
    let jobs = agent.jobs();
    head(&mut text, "golo_agent_jobs", "gauge", "Number of listed jobs by state.");
    for state in State::ALL {
        let count = jobs.iter().filter(|job| job.state() == state).count();
        _ = writeln!(text, "golo_agent_jobs{{state=\"{}\"}} {count}", state.name());
    }
    let (mut users, mut rate) = (0, 0.0);
    if let Some(job) = agent.running() {
        (users, rate) = job.load();
    }
    one(
        &mut text,
        "golo_agent_users",
        "gauge",
        "Number of users of the running job; in the open model, of triggers in flight.",
        users,
    );
    one(
        &mut text,
        "golo_agent_request_rate",
        "gauge",
        "Requests per second of the running job in its last second.",
        rate,
    );
    let all: Vec<_> = jobs.iter().map(|job| (job.kept(), job.extent().next)).collect();
    let totals = all.iter().map(|(kept, _)| kept.requests);
    let (requests, failed) = totals.fold((0, 0), |(all, bad), (requests, failed)| (all + requests, bad + failed));
    one(&mut text, "golo_agent_requests", "gauge", "Number of requests of all listed jobs.", requests);
    one(&mut text, "golo_agent_requests_failed", "gauge", "Number of failed requests of all listed jobs.", failed);
    let interrupted: u64 = all.iter().map(|(kept, _)| kept.interrupted).sum();
    one(
        &mut text,
        "golo_agent_requests_interrupted",
        "gauge",
        "Number of requests of all listed jobs that the end of the run cut off.",
        interrupted,
    );
    one(&mut text, "golo_agent_spool_bytes", "gauge", "Size of the database in bytes.", bytes);
    let waiting = all.iter().filter(|(kept, _)| kept.for_collector && !kept.is_swept);
    let waiting: u64 = waiting.map(|(kept, records)| records.saturating_sub(kept.committed)).sum();
    one(
        &mut text,
        "golo_agent_records_uncommitted",
        "gauge",
        "Number of records that the collector does not have yet.",
        waiting,
    );
    let missing: u64 = all.iter().filter_map(|(kept, _)| kept.missing.as_ref()).map(|missing| missing.records).sum();
    one(
        &mut text,
        "golo_agent_records_missing",
        "gauge",
        "Number of records that the collector has without their content: it refuses them, or they are damaged.",
        missing,
    );
    let refused = all.iter().filter(|(kept, _)| kept.refused.is_some()).count();
    one(&mut text, "golo_agent_jobs_refused", "gauge", "Number of jobs that the collector refuses.", refused);
    let uploads = agent.uploads.load(Relaxed);
    one(
        &mut text,
        "golo_agent_uploads_total",
        "counter",
        "Number of uploaded load tests and files of test data.",
        uploads,
    );
    agent.options.statuses.write(&mut text, "golo_agent_http_requests_total");
    text
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn one(text: &mut String, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
    head(text, name, kind, help);
    _ = writeln!(text, "{name} {value}");
}
