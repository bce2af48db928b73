//! `html=`: the run as one self-contained page. Its tables are plain HTML with the wording of the summary. Its charts
//! are drawn by a script from the [`Document`], which the page contains as JSON.
//!
//! The charts use plotly. The plotly crate contains the script that draws them and exposes it, and the script supports
//! everything that the page needs, including logarithmic axes and heat maps. `charming` contains a smaller script
//! (ECharts) but does not expose it. uPlot, the smallest, has no heat maps. The types of the plotly crate are not used:
//! they would write as JSON what the script reads from the document.

mod embedded;
mod facts;
mod journeys;
mod table;
mod tables;

use std::io;

use askama::Template;

use self::{
    embedded::{Json, Script},
    facts::{Fact, Tone},
    journeys::Waterfall,
    table::Table,
};
use super::{
    Document, RunOutcome,
    document::Model,
    outputs::{FileOutput, OutputKind, WriteReport},
    text::clean,
    units::nanoseconds,
};
use crate::metrics::sequence::unnoted_sequence_id;

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
    let mut document = Document::of(outcome);
    for route in document.requests.routes.iter_mut().skip(WHOLE) {
        route.amounts.drop_buckets();
    }
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
    redirected: Option<String>,
    remarks: Vec<String>,
    steps: Option<Table>,
    remarks_on_steps: Vec<String>,
    has_many_routes: bool,
    triggers: Option<Table>,
    history: Option<Table>,
    statuses: Option<Table>,
    waterfalls: Vec<Waterfall>,
    journeys: Option<Table>,
    checks: Option<Table>,
    errors: Option<Table>,
}

impl<'a> Page<'a> {
    fn of(document: &'a Document<'a>) -> Self {
        Self {
            nonce: unnoted_sequence_id(),
            style: include_str!("html/style.css"),
            plotly: Script::plotly(),
            sorting: include_str!("html/sorting.js"),
            charts: include_str!("html/charts.js"),
            json: Json(document),
            document,
            job: clean(document.run.job),
            tone: facts::verdict(document),
            tiles: facts::tiles(document),
            run: facts::run(document),
            load: facts::load(document),
            generator: facts::generator(document),
            warning: document.generator.warning.map(|warning| warning.replace('`', "")),
            thresholds: tables::thresholds(document),
            routes: tables::routes(document),
            from_tags: facts::from_tags(document),
            tag_values: tables::tag_values(document),
            tag_numbers: tables::tag_numbers(document),
            tags_beyond: facts::tags_beyond(document),
            redirected: document.requests.redirected.clone(),
            remarks: facts::remarks(document, &document.requests.total, "request"),
            steps: tables::steps(document),
            remarks_on_steps: facts::remarks(document, &document.steps.total, "step"),
            has_many_routes: document.requests.routes.len() > MANY,
            triggers: tables::triggers(document),
            history: tables::history(document),
            statuses: tables::statuses(document),
            waterfalls: journeys::waterfalls(document),
            journeys: tables::journeys(document),
            checks: tables::checks(document),
            errors: tables::errors(document),
        }
    }

    /// Returns true if there is anything to draw over time.
    fn has_time(&self) -> bool {
        !self.document.timeline.points.is_empty()
    }

    /// Returns the text after the word of the verdict.
    fn reason(&self) -> &str {
        let verdict = &self.document.verdict;
        verdict.text.strip_prefix(&*verdict.word).unwrap_or(&verdict.text).trim_start_matches([':', ',']).trim_start()
    }

    fn users_title(&self) -> &'static str {
        if self.document.run.model == Model::Open { "Triggers in flight" } else { "Users" }
    }

    /// Returns the length of a point, in words.
    fn each(&self) -> String {
        match self.document.timeline.step {
            0 | 1_000_000_000 => "second".to_owned(),
            longer => nanoseconds(Some(longer)),
        }
    }

    fn latency_says(&self) -> String {
        let stages = match self.document.timeline.stages.is_empty() {
            true => "",
            false => " Dotted lines are where a stage of the plan ends, and an arrow says what it leads to.",
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

    fn scatter_says(&self) -> String {
        let each = self.each();
        format!("A point for each {each}. Where latency turns up, the target is near what it can do.")
    }

    fn percentiles_say(&self) -> &'static str {
        match self.document.run.model {
            Model::Closed => {
                "How long all but the slowest took: each mark to the right leaves out a tenth of what the last one did."
            }
            Model::Paced | Model::Open => {
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
            ("steps", "Steps", self.steps.is_some() || !self.remarks_on_steps.is_empty()),
            ("time", "Over time", self.has_time()),
            ("latency", "Latency", self.triggers.is_some()),
            ("statuses", "Status codes", self.has_requests()),
            ("journeys", "Journeys", !self.waterfalls.is_empty() || self.journeys.is_some()),
            ("tags", "Tags", self.tag_values.is_some() || self.tag_numbers.is_some()),
            ("checks", "Checks", self.checks.is_some()),
            ("errors", "Errors", self.errors.is_some()),
            ("generator", "Generator", !self.generator.is_empty()),
            ("history", "Figures", self.history.is_some()),
        ];
        all.into_iter().filter(|(_, _, is_there)| *is_there).map(|(id, title, _)| (id, title))
    }

    /// Returns true if any request has ended.
    fn has_requests(&self) -> bool {
        self.document.requests.total.duration.count > 0
    }

    /// Returns true if any measured step has ended.
    fn has_steps(&self) -> bool {
        self.document.steps.total.duration.count > 0
    }

    /// Returns the title of the chart of latency over time. It shows steps only if there is no request.
    fn latency_title(&self) -> &'static str {
        if self.has_requests() { "Latency of requests" } else { "Latency of measured steps" }
    }
}
