//! The verdict, thresholds and checks as test cases in JUnit XML, which CI servers read.

use std::{io, time::SystemTime};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::outputs::{FileOutput, OutputKind};
use super::units::counted;
use super::verdict::nothing_succeeded;
use super::{Judged, Page, RunOutcome, Verdict};
use crate::{engine::Finished, metrics::check::Check};

pub(super) const KIND: OutputKind =
    OutputKind::file("junit", "junit=FILE.xml", |path| FileOutput::open("junit", [(path.into(), junit as _)]));

/// Writes the cases of a run: `run` itself, each threshold, each check. The summary is its output.
///
/// A case fails only if the exit code also reports a failure. Failed checks are therefore reported in the output of
/// their case.
///
/// # Errors
///
/// Returns an error if writing to `to` fails.
pub(super) fn junit(outcome: &RunOutcome, to: &mut dyn io::Write) -> io::Result<()> {
    let summary = &super::summary(outcome, Page::default());
    let (finished, verdict) = (&outcome.finished, &outcome.verdict());
    let job = text(&finished.options.job_name);
    let cases = cases(outcome, verdict);
    let counted = |is: fn(&Outcome) -> bool| cases.iter().filter(|case| is(&case.outcome)).count().to_string();
    let (all, failed) = (cases.len().to_string(), counted(|outcome| matches!(outcome, Outcome::Failed(_))));
    let broken = counted(|outcome| matches!(outcome, Outcome::Broken { .. }));
    let seconds = format!("{:.3}", finished.whole_time.as_secs_f64());
    let counts = [("name", &*job), ("tests", &*all), ("failures", &*failed), ("errors", &*broken), ("time", &*seconds)];
    let (timestamp, hostname) = (timestamp(finished), text(&hostname()));
    let place =
        [("skipped", "0"), ("timestamp", &*timestamp), ("hostname", &*hostname), ("id", "0"), ("package", &*job)];
    let mut xml = Writer::new_with_indent(to, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("testsuites").with_attributes(counts).write_inner_content(|xml| {
        let suite = xml.create_element("testsuite").with_attributes(counts).with_attributes(place);
        suite.write_inner_content(|xml| {
            properties(finished, xml)?;
            cases.iter().try_for_each(|case| case.write(&job, &seconds, xml))?;
            xml.create_element("system-out").write_text_content(BytesText::new(&text(summary)))?;
            xml.create_element("system-err").write_text_content(BytesText::new(""))?;
            Ok(())
        })?;
        Ok(())
    })?;
    xml.get_mut().write_all(b"\n")
}

/// Returns the start of the run, or the current time if it did not start. It is in UTC without a zone, as the schema
/// has none.
fn timestamp(finished: &Finished) -> String {
    let at = OffsetDateTime::from(finished.started_at.unwrap_or_else(SystemTime::now)).truncate_to_second();
    at.format(&Rfc3339).unwrap_or_default().trim_end_matches('Z').to_owned()
}

/// Returns the name of this machine, or `localhost` if it has none.
fn hostname() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Writes what is needed to repeat the run.
fn properties(finished: &Finished, xml: &mut Writer<impl io::Write>) -> io::Result<()> {
    let options = &finished.options;
    let properties = [
        ("golo", env!("CARGO_PKG_VERSION").to_owned()),
        ("plan", finished.plan.to_string()),
        ("workers", options.workers.to_string()),
        ("seed", options.seed.to_string()),
    ];
    xml.create_element("properties").write_inner_content(|xml| {
        properties.iter().try_for_each(|(name, value)| {
            let property = xml.create_element("property");
            property.with_attributes([("name", *name), ("value", &**value)]).write_empty().map(drop)
        })
    })?;
    Ok(())
}

/// A test case.
struct Case {
    /// Kind of the case.
    class: &'static str,
    name: String,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    /// Passed, with a remark.
    Noted(String),
    /// The target did not meet an expectation.
    Failed(String),
    /// The run itself did not succeed.
    Broken {
        what: String,
        message: String,
    },
}

fn cases(run: &RunOutcome, verdict: &Verdict) -> Vec<Case> {
    let mut cases = vec![Case { class: "run", name: run.finished.plan.to_string(), outcome: of_run(run, verdict) }];
    cases.extend(run.thresholds.iter().map(of_threshold));
    cases.extend(run.finished.totals.checks.iter().map(|(name, check)| of_check(name, *check)));
    cases
}

fn of_run(run: &RunOutcome, verdict: &Verdict) -> Outcome {
    let what = verdict.to_string();
    let message = match verdict {
        Verdict::NotStarted(reason) | Verdict::NotEnded(reason) | Verdict::Died(reason) => {
            format!("{verdict}: {reason}")
        }
        Verdict::Invalid(reasons) => format!("{verdict}: {}", reasons.join("; ")),
        Verdict::Stopped => format!("{verdict} by {}", run.stopped_by()),
        Verdict::Passed | Verdict::Failed(_) if !run.is_whole() => run.troubles().join("; "),
        Verdict::Failed(_) => match nothing_succeeded(run) {
            Some(nothing) => return Outcome::Failed(nothing.reason),
            None => return Outcome::Passed,
        },
        Verdict::Passed => return Outcome::Passed,
    };
    Outcome::Broken { what, message }
}

fn of_threshold(judged: &Judged) -> Case {
    let outcome = match (&judged.reason, judged.passed) {
        (_, true) => match &judged.note {
            Some(_) => Outcome::Noted(format!("it was {}", judged.said())),
            None => Outcome::Passed,
        },
        (Some(reason), false) => Outcome::Failed(reason.clone()),
        (None, false) => Outcome::Failed(format!("it was {}", judged.said())),
    };
    Case { class: "threshold", name: judged.threshold.to_string(), outcome }
}

fn of_check(name: &str, Check { passed, failed }: Check) -> Case {
    let outcome = match failed {
        0 => Outcome::Passed,
        _ => Outcome::Noted(format!("{failed} of {} failed", counted(passed.saturating_add(failed), "check"))),
    };
    Case { class: "check", name: name.to_owned(), outcome }
}

impl Case {
    fn write(&self, job: &str, seconds: &str, xml: &mut Writer<impl io::Write>) -> io::Result<()> {
        let (class, name) = (format!("{job}.{}", self.class), text(&self.name));
        let time = if self.class == "run" { seconds } else { "0" };
        let case =
            xml.create_element("testcase").with_attributes([("classname", &*class), ("name", &*name), ("time", time)]);
        let (element, what, message) = match &self.outcome {
            Outcome::Passed => return case.write_empty().map(drop),
            Outcome::Noted(message) => ("system-out", None, message),
            Outcome::Failed(message) => ("failure", Some(self.class), message),
            Outcome::Broken { what, message } => ("error", Some(&**what), message),
        };
        case.write_inner_content(|xml| {
            let mut element = xml.create_element(element);
            if let Some(what) = what {
                element = element.with_attributes([("type", what), ("message", &*text(message))]);
            }
            element.write_text_content(BytesText::new(&text(message))).map(drop)
        })?;
        Ok(())
    }
}

/// Replaces the characters that XML does not allow, not even escaped.
fn text(text: &str) -> String {
    let is_allowed =
        |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if is_allowed(&c) { c } else { '\u{fffd}' }).collect()
}
