//! `html=`: the run as one self-contained page. Its tables are plain HTML with the wording of the summary. Its charts
//! are drawn by a script from the [`Document`], which the page contains as JSON.
//!
//! The charts use plotly. The plotly crate contains the script that draws them and exposes it, and the script supports
//! everything that the page needs, including logarithmic axes and heat maps. `charming` contains a smaller script
//! (ECharts) but does not expose it. uPlot, the smallest, has no heat maps. The types of the plotly crate are not used:
//! they would write as JSON what the script reads from the document.

mod embedded;
mod facts;
mod failures;
mod journeys;
mod own;
mod table;
mod tables;
mod view;

use std::{io, time::Duration};

use askama::Template;

use self::embedded::{Json, Script};
use self::failures::Failure;
use self::journeys::Waterfall;
use self::table::Table;
pub use self::view::{RunView, failure_samples};
use super::document::GOLO;
use super::facts::{Fact, Tone, failed_triggers, generator, load, warning};
use super::outputs::{FileOutput, OutputKind, WriteReport};
use super::summary::{beyond, has_due_times};
use super::text::clean;
use super::units::duration;
use super::{Document, RunOutcome, pauses};
use crate::engine::plan::Plan;
use crate::metrics::sequence::unnoted_sequence_id;

const SECOND: Duration = Duration::from_secs(1);
/// Number of routes above which the page has a search field.
const MANY: usize = 20;
/// Number of routes that keep their buckets. No chart needs them, and those of a thousand routes take 100 MB.
const WHOLE: usize = 20;

pub(super) const KIND: OutputKind =
    OutputKind::file("html", "html=FILE.html", |path| FileOutput::open("html", [(path.into(), html as WriteReport)]));

/// Writes the page of a run. Its document has no buckets of routes after the 20th.
///
/// # Errors
///
/// Returns an error if writing to `to` fails.
pub fn html(outcome: &RunOutcome, to: &mut dyn io::Write) -> io::Result<()> {
    let document = Document { routes_with_buckets: WHOLE, ..Document::of(outcome) };
    Page::of(&document).write_into(to)
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    /// Only scripts with this nonce run. Scripts in names from the target or the load test do not.
    nonce: String,
    style: &'static str,
    plotly: Script,
    sorting: &'static str,
    charts: &'static str,
    json: Json<'a>,
    document: &'a Document<'a>,
    golo: &'static str,
    word: &'a str,
    /// Text after the word of the verdict.
    reason: String,
    job: String,
    tone: Tone,
    tiles: Vec<Fact>,
    run: Vec<Fact>,
    load: Vec<Fact>,
    generator: Vec<Fact>,
    warning: Option<String>,
    thresholds: Option<Table>,
    routes: Option<Table>,
    from_tags: Option<String>,
    tag_values: Option<Table>,
    tag_numbers: Option<Table>,
    tags_beyond: Option<String>,
    metrics: Vec<Table>,
    groups: Option<Table>,
    request_tags: Option<Table>,
    own_notes: Vec<String>,
    redirected: Option<String>,
    phases: Option<Table>,
    remarks: Vec<String>,
    steps: Option<Table>,
    remarks_on_steps: Vec<String>,
    has_many_routes: bool,
    triggers: Option<Table>,
    scenarios: Option<Table>,
    history: Option<Table>,
    statuses: Option<Table>,
    waterfalls: Vec<Waterfall>,
    journeys: Option<Table>,
    checks: Option<Table>,
    errors: Option<Table>,
    failures: Vec<Failure>,
    /// Remark on further samples.
    further_failures: Option<String>,
}

impl<'a> Page<'a> {
    fn of(document: &'a Document<'a>) -> Self {
        let (outcome, requests, headline) = (document.outcome, &document.requests, &document.headline);
        let finished = &outcome.finished;
        let (is_started, totals) = (finished.started_at.is_some(), &finished.totals);
        let mut load = load(finished, true);
        load.extend(pauses::split(&totals.triggers).map(|split| Fact::new("a trigger's time", split)));
        load.extend(failed_triggers(&totals.triggers));
        // The page contains no code markup.
        let plain = |text: &str| text.replace('`', "");
        let (failures, further_failures) = failures::failures(totals, requests);
        Self {
            nonce: unnoted_sequence_id(),
            style: include_str!("html/style.css"),
            plotly: Script::plotly(),
            sorting: include_str!("html/sorting.js"),
            charts: include_str!("html/charts.js"),
            json: Json(document),
            document,
            golo: GOLO,
            word: &headline.word,
            reason: headline.after_word().trim_start_matches([':', ',']).trim_start().to_owned(),
            job: clean(&finished.options.job_name),
            tone: headline.tone,
            tiles: facts::tiles(document),
            run: facts::run(document),
            load: if is_started { load } else { Vec::new() },
            generator: if is_started { generator(finished, true) } else { Vec::new() },
            warning: warning(finished).map(plain),
            thresholds: tables::thresholds(document),
            routes: tables::routes(document),
            from_tags: requests.tag_note().as_deref().map(plain),
            tag_values: tables::tag_values(document),
            tag_numbers: tables::tag_numbers(document),
            tags_beyond: beyond(totals),
            metrics: own::metrics(document),
            groups: own::groups(document),
            request_tags: own::request_tags(document),
            own_notes: super::own::notes(totals).iter().map(|note| plain(note)).collect(),
            redirected: requests.redirected(),
            phases: tables::phases(document),
            remarks: requests.routes.remarks(document.rates),
            steps: tables::steps(document),
            remarks_on_steps: requests.steps.remarks(document.rates),
            has_many_routes: requests.routes.named.len() > MANY,
            triggers: tables::triggers(document),
            scenarios: tables::scenarios(document),
            history: tables::history(document),
            statuses: tables::statuses(document),
            waterfalls: journeys::waterfalls(totals, requests),
            journeys: tables::journeys(document),
            checks: tables::checks(document),
            errors: tables::errors(document),
            failures,
            further_failures,
        }
    }

    /// Returns true if there is anything to draw over time.
    fn has_time(&self) -> bool {
        self.history.is_some()
    }

    fn plan(&self) -> &Plan {
        &self.document.outcome.finished.plan
    }

    fn users_title(&self) -> &'static str {
        if self.plan().is_open() { "Triggers in flight" } else { "Users" }
    }

    /// Returns the length of a point, in words.
    fn each(&self) -> String {
        match self.document.outcome.timeline.step() {
            Duration::ZERO | SECOND => "second".to_owned(),
            longer => duration(longer),
        }
    }

    fn latency_says(&self) -> String {
        let has_stages = self.plan().sole().is_some_and(|load| !load.curve().stages().is_empty());
        let stages = match has_stages {
            false => "",
            true => " Dotted lines are where a stage of the plan ends, and an arrow says what it leads to.",
        };
        let each = self.each();
        let of = match self.has_requests() {
            true => "from sending a request to the last byte of its response",
            false => "from the start of a step to its end",
        };
        format!("Percentiles of each {each}, {of}.{stages}")
    }

    fn users_say(&self) -> String {
        format!("At the end of each {}.", self.each())
    }

    fn heat_says(&self) -> String {
        let each = self.each();
        format!(
            "Each column is of one {each}, each row of a range of latencies: the stronger the colour, the more requests. \
             It shows what percentiles hide, as two humps, or a stall."
        )
    }

    fn phases_say(&self) -> &'static str {
        "Mean time of each phase, for the routes with the most time spent. A request that reused a connection has none of \
         the phases that make one."
    }

    fn scatter_says(&self) -> String {
        let each = self.each();
        format!("A point for each {each}. Where latency turns up, the target is near what it can do.")
    }

    fn percentiles_say(&self) -> &'static str {
        match has_due_times(self.plan()) {
            false => {
                "How long all but the slowest took: each mark to the right leaves out a tenth of what the last one did."
            }
            true => {
                "How long all but the slowest took: each mark to the right leaves out a tenth of what the last one did. \
                 Where response, from when a trigger was due, lies above service, from its start, triggers waited for \
                 their turn."
            }
        }
    }

    /// Returns the ID and the title of each section that has content.
    fn sections(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let all = [
            ("thresholds", "Thresholds", self.thresholds.is_some()),
            ("load", "Load", !self.load.is_empty()),
            ("requests", "Requests", self.routes.is_some() || !self.remarks.is_empty()),
            ("phases", "Phases", self.phases.is_some()),
            ("steps", "Steps", self.steps.is_some() || !self.remarks_on_steps.is_empty()),
            ("request-tags", "Tags of requests", self.request_tags.is_some()),
            ("groups", "Groups", self.groups.is_some()),
            ("metrics", "Metrics", !self.metrics.is_empty() || !self.own_notes.is_empty()),
            ("time", "Over time", self.has_time()),
            ("latency", "Latency", self.triggers.is_some()),
            ("scenarios", "Scenarios", self.scenarios.is_some()),
            ("statuses", "Status codes", self.has_requests()),
            ("journeys", "Journeys", !self.waterfalls.is_empty() || self.journeys.is_some()),
            ("tags", "Tags", self.tag_values.is_some() || self.tag_numbers.is_some()),
            ("checks", "Checks", self.checks.is_some()),
            ("errors", "Errors", self.errors.is_some()),
            ("failures", "Failure samples", !self.failures.is_empty()),
            ("generator", "Generator", !self.generator.is_empty()),
            ("history", "Figures", self.history.is_some()),
        ];
        all.into_iter().filter(|(_, _, is_there)| *is_there).map(|(id, title, _)| (id, title))
    }

    /// Returns true if any request has ended.
    fn has_requests(&self) -> bool {
        self.document.requests.routes.total.count() > 0
    }

    /// Returns true if any measured step has ended.
    fn has_steps(&self) -> bool {
        self.document.requests.steps.total.count() > 0
    }

    /// Returns true if any trigger has ended.
    fn has_triggers(&self) -> bool {
        !self.document.outcome.finished.totals.triggers.service.is_empty()
    }

    /// Returns the title of the chart of latency over time. It shows steps only if there is no request.
    fn latency_title(&self) -> &'static str {
        if self.has_requests() { "Latency of requests" } else { "Latency of measured steps" }
    }
}
