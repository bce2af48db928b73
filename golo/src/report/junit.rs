//! The verdict, thresholds and checks as test cases, in the JUnit XML that CI servers read.

use std::io;

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};

use super::{Ending, Judged, Verdict, units::counted};
use crate::{check::Check, engine::Finished};

/// Writes the cases of a run: `run` itself, each threshold, each check. `summary` is what a person reads.
///
/// # Errors
///
/// What `to` gives.
pub fn junit(
    finished: &Finished,
    verdict: &Verdict,
    ending: &Ending,
    summary: &str,
    to: impl io::Write,
) -> io::Result<()> {
    let job = &finished.options.job_name;
    let seconds = format!("{:.3}", finished.whole_time.as_secs_f64());
    let cases = cases(finished, verdict, ending);
    let failed = cases.iter().filter(|case| matches!(case.outcome, Outcome::Failed(_))).count().to_string();
    let broken = cases.iter().filter(|case| matches!(case.outcome, Outcome::Broken(_))).count().to_string();
    let all = cases.len().to_string();
    let job = text(job);
    let counts = [("name", &*job), ("tests", &*all), ("failures", &*failed), ("errors", &*broken), ("time", &*seconds)];
    let mut xml = Writer::new_with_indent(to, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("testsuites").with_attributes(counts).write_inner_content(|xml| {
        xml.create_element("testsuite").with_attributes(counts).write_inner_content(|xml| {
            cases.iter().try_for_each(|case| case.write(&job, &seconds, xml))?;
            xml.create_element("system-out").write_text_content(BytesText::new(&text(summary)))?;
            Ok(())
        })?;
        Ok(())
    })?;
    xml.get_mut().write_all(b"\n")
}

/// One test case.
struct Case {
    /// What sort of case it is.
    class: &'static str,
    name: String,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    /// The target did not do what it should.
    Failed(String),
    /// The run itself came to nothing that could be judged.
    Broken(String),
}

fn cases(finished: &Finished, verdict: &Verdict, ending: &Ending) -> Vec<Case> {
    let run = match verdict {
        Verdict::Passed | Verdict::Failed(_) => Outcome::Passed,
        Verdict::NotStarted(reason) | Verdict::Died(reason) => Outcome::Broken(format!("{verdict}: {reason}")),
        Verdict::Invalid(reasons) => Outcome::Broken(format!("{verdict}: {}", reasons.join("; "))),
        Verdict::Stopped => Outcome::Broken(format!("{verdict} by a signal")),
    };
    let mut cases = vec![Case { class: "run", name: finished.plan.to_string(), outcome: run }];
    cases.extend(ending.thresholds.iter().map(of_threshold));
    cases.extend(finished.totals.checks.iter().map(|(name, check)| of_check(name, *check)));
    cases
}

fn of_threshold(judged: &Judged) -> Case {
    let outcome = match (&judged.reason, judged.passed) {
        (_, true) => Outcome::Passed,
        (Some(reason), false) => Outcome::Failed(reason.clone()),
        (None, false) => Outcome::Failed(format!("it was {}", judged.shown())),
    };
    Case { class: "threshold", name: judged.threshold.to_string(), outcome }
}

fn of_check(name: &str, Check { passed, failed }: Check) -> Case {
    let outcome = match failed {
        0 => Outcome::Passed,
        _ => Outcome::Failed(format!("{failed} of {} failed", counted(passed.saturating_add(failed), "check"))),
    };
    Case { class: "check", name: name.to_owned(), outcome }
}

impl Case {
    fn write(&self, job: &str, seconds: &str, xml: &mut Writer<impl io::Write>) -> io::Result<()> {
        let (class, name) = (format!("{job}.{}", self.class), text(&self.name));
        let time = if self.class == "run" { seconds } else { "0" };
        let case =
            xml.create_element("testcase").with_attributes([("classname", &*class), ("name", &*name), ("time", time)]);
        let (element, message) = match &self.outcome {
            Outcome::Passed => return case.write_empty().map(drop),
            Outcome::Failed(message) => ("failure", message),
            Outcome::Broken(message) => ("error", message),
        };
        case.write_inner_content(|xml| {
            let element = xml.create_element(element).with_attribute(("message", &*text(message)));
            element.write_text_content(BytesText::new(&text(message))).map(drop)
        })?;
        Ok(())
    }
}

/// Without the characters that no XML may have, however they are written.
fn text(text: &str) -> String {
    let is_allowed =
        |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if is_allowed(&c) { c } else { '\u{fffd}' }).collect()
}
