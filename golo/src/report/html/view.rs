//! Figures and tables of a run as data, for the web page of the `golo` command. They have the wording of the summary.

use serde::{Serialize, Serializer};

use super::table::Table;
use super::{facts, failures, own, tables};
use crate::engine::snapshot::Snapshot;
use crate::report::facts::{Fact, Tone, failed_triggers, generator, load, warning};
use crate::report::requests::Requests;
use crate::report::text::clean;
use crate::report::{Document, Judged, RunOutcome, pauses};

/// Figures and tables of a run. serde writes them as an object.
///
/// The run may still be going on. Its outcome then contains the measurements so far and, as `aborted`, a threshold that
/// can no longer pass; the verdict has no meaning.
#[derive(Serialize)]
pub struct RunView {
    /// Word of the verdict: `PASSED`.
    pub word: String,
    /// Text after the word.
    pub reason: String,
    /// Tone of the verdict: `good`, `warning` or `bad`.
    pub tone: String,
    /// The main figures.
    tiles: Vec<Fact>,
    /// Target, start time, seed and other facts of the run.
    run: Vec<Fact>,
    /// The delivered load.
    load: Vec<Fact>,
    /// State of the load generator.
    generator: Vec<Fact>,
    /// Warning about the load generator, if there is one.
    warning: Option<String>,
    /// Each threshold with its value.
    thresholds: Vec<ThresholdView>,
    /// The tables that have rows.
    tables: Vec<TableView>,
    /// Number of samples of failed requests.
    samples: usize,
}

/// A threshold with its value.
#[derive(Serialize)]
struct ThresholdView {
    text: String,
    actual: String,
    passed: bool,
    /// True if the threshold can no longer pass.
    lost: bool,
}

/// A table with its title.
#[derive(Serialize)]
struct TableView {
    id: &'static str,
    title: &'static str,
    table: Table,
    /// Remarks below the table.
    remarks: Vec<String>,
}

impl RunView {
    /// Returns the view of a run.
    #[must_use]
    pub fn of(outcome: &RunOutcome) -> Self {
        let document = Document::of(outcome);
        let (finished, headline, requests) = (&outcome.finished, &document.headline, &document.requests);
        let is_started = finished.started_at.is_some();
        let triggers = &finished.totals.triggers;
        let mut loaded = if is_started { load(finished, true) } else { Vec::new() };
        loaded.extend(pauses::split(triggers).map(|split| Fact::new("a trigger's time", split)));
        loaded.extend(failed_triggers(triggers));
        Self {
            word: headline.word.clone(),
            reason: headline.after_word().trim_start_matches([':', ',']).trim_start().to_owned(),
            tone: headline.tone.to_string(),
            tiles: facts::tiles(&document),
            run: facts::run(&document),
            load: loaded,
            generator: if is_started { generator(finished, true) } else { Vec::new() },
            warning: warning(finished).map(|text| text.replace('`', "")),
            thresholds: outcome.thresholds.iter().map(|judged| ThresholdView::of(judged, outcome)).collect(),
            tables: views(&document, requests),
            samples: finished.totals.failures.iter().len(),
        }
    }
}

impl ThresholdView {
    fn of(judged: &Judged, outcome: &RunOutcome) -> Self {
        Self {
            text: clean(&judged.threshold.to_string()),
            actual: clean(&judged.said()),
            passed: judged.passed,
            lost: outcome.aborted.as_ref() == Some(&judged.threshold),
        }
    }
}

fn views(document: &Document<'_>, requests: &Requests) -> Vec<TableView> {
    let remarks = |remarks: Vec<String>, further: Option<String>| remarks.into_iter().chain(further).collect();
    let of_requests = remarks(requests.routes.remarks(document.rates), requests.redirected());
    let of_steps = remarks(requests.steps.remarks(document.rates), None);
    let mut all = vec![
        ("routes", "Requests", tables::routes(document), of_requests),
        ("steps", "Steps", tables::steps(document), of_steps),
        ("scenarios", "Scenarios", tables::scenarios(document), Vec::new()),
        ("errors", "Errors", tables::errors(document), Vec::new()),
        ("checks", "Checks", tables::checks(document), Vec::new()),
        ("phases", "Phases", tables::phases(document), Vec::new()),
        ("latency", "Latency", tables::triggers(document), Vec::new()),
        ("statuses", "Status codes", tables::statuses(document), Vec::new()),
        ("groups", "Groups", own::groups(document), Vec::new()),
    ];
    all.extend(own::metrics(document).into_iter().map(|table| ("metrics", table.caption, Some(table), Vec::new())));
    all.push(("request-tags", "Tags of requests", own::request_tags(document), Vec::new()));
    all.push(("tags", "Tags", tables::tag_values(document), Vec::new()));
    all.push(("tag-numbers", "Tags with numbers", tables::tag_numbers(document), Vec::new()));
    let view =
        |(id, title, table, remarks): (_, _, Option<Table>, _)| Some(TableView { id, title, table: table?, remarks });
    all.into_iter().filter_map(view).collect()
}

/// Returns the first samples of failed requests, with secrets masked, and a remark if there are more. serde writes
/// them as an object.
#[must_use]
pub fn failure_samples(totals: &Snapshot) -> impl Serialize {
    let (samples, further) = failures::failures(totals, &Requests::of(totals));
    #[derive(Serialize)]
    struct Samples {
        samples: Vec<failures::Failure>,
        further: Option<String>,
    }
    Samples { samples, further }
}

/// Writes an array of the label, the text and, unless it is plain, the tone.
impl Serialize for Fact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.tone {
            Tone::Plain => (self.label, &self.text).serialize(serializer),
            tone => (self.label, &self.text, tone.to_string()).serialize(serializer),
        }
    }
}
