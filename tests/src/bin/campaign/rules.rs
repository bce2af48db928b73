//! The rules of a round: what is true of it, whatever its fault.

use std::time::{Duration, Instant};

use golo_tests::Signal;

use crate::fault::{Blow, Fault, Victim};
use crate::observed::{Observed, Part, SLACK};
use crate::plan::{Client, Moment, Plan, is_long};
use crate::round::{GRACE, LEASE};

/// Time in which a load test that is killed has not reported its requests yet.
const UNREPORTED: Duration = Duration::from_secs(3);
/// Suspension of a load test that is never valid.
const STANDSTILL: Duration = Duration::from_millis(2_500);
/// Time after the end of a client in which its last requests may arrive.
const LAST: Duration = Duration::from_secs(2);

/// The result of a rule.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) rule: &'static str,
    /// The figures, if the rule is broken.
    pub(crate) broken: Option<String>,
}

/// Results of the rules of a round.
#[derive(Debug, Default)]
struct Rules(Vec<Checked>);

impl Rules {
    fn check(&mut self, rule: &'static str, holds: bool, figures: impl FnOnce() -> String) {
        self.0.push(Checked { rule, broken: (!holds).then(figures) });
    }

    fn check_none(&mut self, rule: &'static str, found: &[String]) {
        self.check(rule, found.is_empty(), || found.join("; "));
    }
}

/// Checks all rules of a round.
pub(crate) fn check(plan: &Plan, observed: &Observed) -> Vec<Checked> {
    let mut rules = Rules::default();
    rules.check("the client ends", !observed.client.hung, || "it had to be killed".to_owned());
    let lives_on = observed.struck.is_some_and(|struck| struck.lives_on);
    rules.check("a daemon ends when asked to", !lives_on, || "it had to be killed".to_owned());
    rules.check_none("jobs end", &observed.unended);
    rules.check_none("agents can take the next job", &observed.wedged);
    rules.check_none("the collector receives all records", &observed.unpushed);
    rules.check_none("no process is left", &observed.processes);
    rules.check_none("no temporary file is left", &observed.files);
    rules.check_none("nothing panics", &observed.panics);
    check_end(&mut rules, plan, observed);
    for part in &observed.parts {
        check_part(&mut rules, plan, observed, part);
    }
    check_collector(&mut rules, plan, observed);
    rules.0
}

/// Exit code and reason of the client.
fn check_end(rules: &mut Rules, plan: &Plan, observed: &Observed) {
    let client = &observed.client;
    let expected = codes(plan, observed);
    rules.check("the exit code fits the fault", expected.contains(&client.code), || {
        format!(
            "{}, expected one of {}",
            code(client.code),
            expected.iter().map(|&one| code(one)).collect::<Vec<_>>().join(", ")
        )
    });
    if client.code.is_some() {
        rules.check("the summary is written", client.summary.is_some(), || "there is none".to_owned());
    }
    let text = client.verdict("text");
    let victim = plan.fault.and_then(|fault| fault.victim.part());
    for (number, part) in observed.parts.iter().enumerate().filter(|(_, part)| !part.address.is_empty()) {
        // An agent for which the run waited is named too. A standstill is reported without its agent.
        let is_blamed = text.contains(&format!("the agent {}", part.address));
        if Some(number) != victim {
            rules.check("no other agent is blamed", !is_blamed, || format!("{}: {text}", part.name));
        } else if matches!(client.code, Some(96 | 107)) && !text.contains("stood still") {
            rules.check("the agent is blamed", is_blamed, || format!("{}: {text}", part.name));
        }
    }
}

fn code(code: Option<i32>) -> String {
    code.map_or("a signal".to_owned(), |code| code.to_string())
}

/// Returns the exit codes that fit the fault; `None` for an end by a signal.
fn codes(plan: &Plan, observed: &Observed) -> Vec<Option<i32>> {
    let passed = Some(0);
    let (Some(fault), Some(at)) = (plan.fault, observed.struck_at()) else { return vec![passed] };
    let lost = match plan.client {
        Client::Submit if plan.goes_on => Some(96),
        _ => Some(107),
    };
    let ends = observed.loaded_at().map(|loaded| loaded + plan.duration);
    let mut codes = match (fault.victim, fault.blow) {
        (Victim::Client, Blow::Signal(Signal::KILL)) => vec![None],
        (Victim::Client, Blow::Signal(_)) => vec![Some(105)],
        (Victim::Agent(_), Blow::Signal(Signal::HUP)) => vec![passed, lost],
        // A supervisor takes its orders from `golo` alone.
        (Victim::Supervisor(_), Blow::Signal(Signal::TERM)) => vec![passed, lost],
        (Victim::Agent(_) | Victim::Supervisor(_), Blow::Signal(_)) => vec![lost],
        // Asked to end, it may also end the run as stopped.
        (Victim::LoadTest(_), Blow::Signal(Signal::TERM | Signal::HUP)) => vec![lost, Some(107), Some(105), Some(96)],
        (Victim::LoadTest(_), Blow::Signal(_)) => vec![lost],
        (Victim::Supervisor(_), Blow::Freeze) => vec![passed, lost],
        (Victim::LoadTest(_), Blow::Freeze) => vec![lost, Some(96)],
        // The run is over, or the agents have given up the client, or it has given up an agent.
        (Victim::Client, blow) if is_long(blow) => vec![passed, Some(96), Some(105), Some(107)],
        (Victim::Agent(_) | Victim::ClientLink(_), blow) if is_long(blow) => vec![passed, lost],
        // Its starts are late, or it counts as lost.
        (Victim::LoadTest(_), Blow::Suspend(time)) => {
            let is_noticed = time >= STANDSTILL && ends.is_some_and(|ends| at + STANDSTILL < ends);
            let codes = [Some(96), Some(107), passed];
            codes[..if is_noticed { 2 } else { 3 }].to_vec()
        }
        _ => vec![passed],
    };
    if let Moment::Starting(_) = plan.moment {
        // The run has perhaps not started, and reports that; or the victim was needed only later.
        codes.extend(match fault.victim {
            Victim::Collector | Victim::CollectorLink(_) => vec![],
            Victim::Client => vec![Some(96), Some(107)],
            _ => vec![passed, Some(107)],
        });
    }
    let is_over = ends.is_some_and(|ends| at + SLACK > ends);
    if (is_over && !matches!(fault.blow, Blow::Suspend(_))) || at > observed.client.at {
        codes.push(passed);
    }
    codes
}

/// Counts of the target and of the agent.
fn check_part(rules: &mut Rules, plan: &Plan, observed: &Observed, part: &Part) {
    let Part { name, seen, .. } = part;
    rules.check("no request is sent twice", seen.repeated == 0, || format!("{name}: {} were", seen.repeated));
    check_late(rules, plan, observed, part);
    let counted = match plan.client {
        Client::Run => observed.collected_requests().unwrap_or_default(),
        Client::Submit => part.counted().unwrap_or_default(),
    };
    let (received, answered) = (seen.arrived.len() as u64, seen.answered.len() as u64);
    rules.check("nothing is counted twice", counted <= received, || {
        format!("{name}: {counted} requests are counted, and the target received {received}")
    });
    if is_harmed(plan, observed, part) {
        let since = observed.struck_at().and_then(|at| at.checked_sub(UNREPORTED));
        let due = since.map_or(0, |since| seen.answered.iter().filter(|&&at| at < since).count() as u64);
        rules.check("only the last seconds of a killed part are lost", counted >= due, || {
            format!(
                "{name}: {counted} requests are counted, and {due} had been answered {UNREPORTED:?} before the fault"
            )
        });
    } else {
        // Requests that the end of the load cut off are counted apart.
        let cut_off = observed.interrupted_requests();
        rules.check("a part that is not killed counts every answer", answered <= counted + cut_off, || {
            format!(
                "{name}: {counted} requests are counted and {cut_off} were cut off, and the target answered {answered}"
            )
        });
    }
}

/// Returns true if processes of a part may have lost what they had not reported.
fn is_harmed(plan: &Plan, observed: &Observed, part: &Part) -> bool {
    let (Some(Fault { victim, blow }), Some(struck)) = (plan.fault, observed.struck) else { return false };
    if !blow.ends() {
        return false;
    }
    let is_part = plan.client == Client::Run || victim.part().is_some_and(|number| part.name == format!("a{number}"));
    match victim {
        Victim::LoadTest(_) | Victim::Supervisor(_) => is_part,
        Victim::Agent(_) => is_part && struck.killed,
        // An agent's part goes on without its client.
        Victim::Client => plan.client == Client::Run && struck.killed,
        _ => false,
    }
}

/// No load after the end of the run.
fn check_late(rules: &mut Rules, plan: &Plan, observed: &Observed, part: &Part) {
    let Some(&last) = part.seen.arrived.last() else { return };
    let client = &observed.client;
    let is_disturbed = plan.fault.is_some_and(|fault| match fault.victim {
        Victim::Client => client.code.is_none(),
        Victim::Collector | Victim::CollectorLink(_) => false,
        victim => plan.client == Client::Run || victim.part().is_some_and(|number| part.name == format!("a{number}")),
    });
    let (limit, rule) = match is_disturbed {
        false => (client.at + LAST, "no load arrives after the end of the client"),
        true => (latest(plan, observed) + LEASE + GRACE + SLACK, "no load arrives after the lease"),
    };
    rules.check(rule, last <= limit, || {
        format!(
            "{}: the last request arrived {:?} after the client's end",
            part.name,
            last.saturating_duration_since(client.at)
        )
    });
}

/// Returns the end of the client, or of a suspension that outlasts it.
fn latest(plan: &Plan, observed: &Observed) -> Instant {
    let end = match (plan.fault.map(|fault| fault.blow), observed.struck_at()) {
        (Some(Blow::Suspend(time)), Some(at)) => at + time,
        _ => observed.client.at,
    };
    end.max(observed.client.at)
}

/// What the collector has, against what the agents and the client have.
fn check_collector(rules: &mut Rules, plan: &Plan, observed: &Observed) {
    let client = &observed.client;
    let collected = observed.collected_requests().unwrap_or_default();
    if plan.client == Client::Submit {
        let counted: u64 = observed.parts.iter().filter_map(Part::counted).sum();
        rules.check("the collector counts what the agents count", collected == counted, || {
            format!("the collector has {collected} requests, and the agents {counted}")
        });
        for job in observed.parts.iter().filter_map(|part| part.job.as_ref()) {
            let known = observed.collected_parts.iter().find(|known| known["job"] == job["id"]);
            let (kept, records) =
                (known.map_or(0, |known| known["records"].as_u64().unwrap_or_default()), &job["records"]);
            rules.check("the collector has every record once", kept == records.as_u64().unwrap_or_default(), || {
                format!("{}: {kept} records of {records}", job["agent"])
            });
        }
    }
    let Some(requests) = client.requests() else { return };
    // A client that lost an agent has not seen all of its records.
    let is_whole = client.code == Some(0);
    rules.check(
        "the summary agrees with what is kept",
        requests == collected || (!is_whole && requests <= collected),
        || format!("the client counts {requests} requests, and {collected} are kept"),
    );
    let word = client.verdict("word");
    // A run that never started may be unknown.
    if let Some(run) = observed.collected.as_ref().filter(|_| word != "NOT STARTED") {
        let verdict = run["summary"]["verdict"].as_str().unwrap_or_default();
        // The end of the run is stored with the parts of other agents. It is not, if they had already ended by themselves.
        let is_untold = word == "DIED" && verdict == "INVALID" && others_completed(plan, observed);
        rules.check("the collector agrees with the client's verdict", verdict == word || is_untold, || {
            format!("the client says {word}, and the collector {verdict}: {}", client.verdict("text"))
        });
    }
}

/// Returns true if all agents but the disturbed one have completed their jobs.
fn others_completed(plan: &Plan, observed: &Observed) -> bool {
    let victim = plan.fault.and_then(|fault| fault.victim.part());
    let others = observed.parts.iter().enumerate().filter(|(number, _)| Some(*number) != victim);
    let mut jobs = others.filter_map(|(_, part)| part.job.as_ref());
    victim.is_some() && jobs.all(|job| job["state"] == "completed")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::observed::{ClientEnd, Struck};
    use crate::target::Seen;

    const SECOND: Duration = Duration::from_secs(1);

    /// A round of `golo submit` with one agent, which answered a request each second for ten seconds.
    fn round(fault: Option<Fault>) -> (Plan, Observed) {
        let begun = Instant::now();
        let plan = Plan {
            number: 0,
            client: Client::Submit,
            goes_on: false,
            load: "-r 1/s",
            duration: 10 * SECOND,
            fault,
            moment: Moment::Loaded(5 * SECOND),
            back: SECOND,
        };
        let times: Vec<_> = (0..10).map(|second| begun + second * SECOND).collect();
        let seen = Seen { arrived: times.clone(), answered: times, ..Seen::default() };
        let job = json!({ "id": "j", "requests": 10, "records": 12, "committed": 12 });
        let address = "127.0.0.1:1".to_owned();
        let verdict = json!({ "word": "PASSED", "text": "PASSED: 10 requests" });
        let total = json!({ "total": { "duration": { "count": 10 } } });
        let observed = Observed {
            struck: fault.map(|_| Struck { at: Some(begun + 5 * SECOND), killed: true, lives_on: false }),
            client: ClientEnd {
                code: Some(0),
                at: begun + 10 * SECOND,
                hung: false,
                summary: Some(json!({ "verdict": verdict, "requests": total })),
            },
            parts: vec![Part { name: "a0".to_owned(), address, job: Some(job), seen }],
            collected: Some(json!({ "summary": { "verdict": "PASSED", "requests": 10 } })),
            collected_parts: vec![json!({ "job": "j", "records": 12 })],
            unended: Vec::new(),
            wedged: Vec::new(),
            unpushed: Vec::new(),
            processes: Vec::new(),
            files: Vec::new(),
            panics: Vec::new(),
            logs: (PathBuf::new(), PathBuf::new()),
        };
        (plan, observed)
    }

    fn broken(plan: &Plan, observed: &Observed) -> Vec<&'static str> {
        check(plan, observed)
            .into_iter()
            .filter(|checked| checked.broken.is_some())
            .map(|checked| checked.rule)
            .collect()
    }

    /// Sets the number of requests that the agent, the collector and the client counted.
    fn count(observed: &mut Observed, requests: u64) {
        observed.parts[0].job.as_mut().unwrap()["requests"] = requests.into();
        observed.collected.as_mut().unwrap()["summary"]["requests"] = requests.into();
        observed.client.summary.as_mut().unwrap()["requests"]["total"]["duration"]["count"] = requests.into();
    }

    #[test]
    fn undisturbed_round_breaks_no_rule() {
        let (plan, observed) = round(None);
        assert_eq!(broken(&plan, &observed), [""; 0]);
    }

    #[test]
    fn wrong_counts_break_rules() {
        let (plan, mut observed) = round(None);
        count(&mut observed, 11);
        let lost = "a part that is not killed counts every answer";
        assert_eq!(broken(&plan, &observed), ["nothing is counted twice"]);
        count(&mut observed, 9);
        assert_eq!(broken(&plan, &observed), [lost]);

        let (plan, mut observed) = round(None);
        observed.collected.as_mut().unwrap()["summary"]["requests"] = 9.into();
        observed.collected_parts[0]["records"] = 11.into();
        let rules = [
            "the collector counts what the agents count",
            "the collector has every record once",
            "the summary agrees with what is kept",
        ];
        assert_eq!(broken(&plan, &observed), rules);
    }

    #[test]
    fn killed_load_test_may_lose_its_last_seconds_only() {
        let fault = Fault { victim: Victim::LoadTest(0), blow: Blow::Signal(Signal::KILL) };
        let (plan, mut observed) = round(Some(fault));
        let summary = observed.client.summary.as_mut().unwrap();
        summary["verdict"] = json!({ "word": "DIED", "text": "DIED: the agent 127.0.0.1:1 was lost" });
        observed.client.code = Some(107);
        observed.collected.as_mut().unwrap()["summary"]["verdict"] = "DIED".into();
        count(&mut observed, 2);
        assert_eq!(broken(&plan, &observed), [""; 0]);
        count(&mut observed, 1);
        assert_eq!(broken(&plan, &observed), ["only the last seconds of a killed part are lost"]);
    }

    #[test]
    fn late_load_and_wrong_ends_break_rules() {
        let (plan, mut observed) = round(None);
        observed.client.at -= 4 * SECOND;
        assert_eq!(broken(&plan, &observed), ["no load arrives after the end of the client"]);

        let (plan, mut observed) = round(None);
        observed.client.code = Some(107);
        observed.client.summary.as_mut().unwrap()["verdict"]["text"] = "DIED: the agent 127.0.0.1:1 was lost".into();
        assert_eq!(broken(&plan, &observed), ["the exit code fits the fault", "no other agent is blamed"]);

        let fault = Fault { victim: Victim::Client, blow: Blow::Signal(Signal::KILL) };
        let (plan, mut observed) = round(Some(fault));
        (observed.client.code, observed.client.summary) = (None, None);
        observed.parts[0].seen.arrived.push(observed.client.at + LEASE + GRACE + 2 * SLACK);
        assert_eq!(broken(&plan, &observed), ["no load arrives after the lease"]);
    }
}
