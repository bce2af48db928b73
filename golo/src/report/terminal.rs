//! Terminal output: a progress bar or a line every few seconds during the run, and the summary at the end.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{MetricsOutput, News, Page, RunOutcome, Written, summary};
use crate::engine::plan::Plan;
use crate::engine::snapshot::Snapshot;
use crate::engine::{Finished, Progress};
use crate::support::message::{self, print, say};

const BAR: &str = "{bar:16.cyan/dim} {wide_msg}";
/// Columns of the bar itself, with the space after it.
const BAR_WIDTH: usize = 17;
/// Template without a bar, for a run whose end is unknown.
const NO_BAR: &str = "{wide_msg}";
/// Columns of a line, if stderr is not a terminal.
const LINE_WIDTH: usize = 79;
/// Seconds between lines.
const LINES: u64 = 5;
/// Highest number of redraws per second.
const HERTZ: u8 = 4;

/// The terminal as a metrics output.
pub(crate) struct Terminal {
    is_progress_wanted: bool,
    /// True if raw outputs go to stdout; the summary then goes to stderr.
    is_stdout_taken: bool,
    plan: Option<Plan>,
    live: Live,
}

impl Terminal {
    /// Creates an output that prints the summary, and shows progress if `is_progress_wanted`.
    pub(crate) fn new(is_progress_wanted: bool, is_stdout_taken: bool) -> Self {
        Self { is_progress_wanted, is_stdout_taken, plan: None, live: Live::Nothing }
    }
}

impl MetricsOutput for Terminal {
    fn start(&mut self, plan: &Plan) {
        self.plan = Some(plan.clone());
        self.live = Live::start(self.is_progress_wanted, self.is_stdout_taken, plan);
    }

    fn snapshot(&mut self, second: &Progress, totals: &Snapshot) {
        if let Some(plan) = &self.plan {
            self.live.show(second, totals, plan);
        }
    }

    fn measured(&mut self, _: &Finished) {
        self.live = Live::Nothing;
    }

    fn finish(&mut self, outcome: &RunOutcome) -> Vec<Written> {
        let page = if self.is_stdout_taken { Page::stderr() } else { Page::stdout() };
        let summary = summary(outcome, page);
        if self.is_stdout_taken {
            say(summary.trim_end());
            return Vec::new();
        }
        print(&summary).err().iter().map(Written::stdout).collect()
    }
}

/// Progress display during the run.
enum Live {
    Nothing,
    Lines(News),
    Bar(ProgressBar, News),
}

impl Live {
    /// Shows a bar on a terminal, and lines elsewhere. There is no bar if raw outputs go to the same terminal, because
    /// their lines would begin behind it.
    fn start(is_wanted: bool, is_stdout_taken: bool, plan: &Plan) -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        let is_disturbed = is_stdout_taken && std::io::stdout().is_terminal();
        if !is_wanted {
            Self::Nothing
        } else if std::io::stderr().is_terminal() && !is_dumb && !is_disturbed {
            Self::bar(plan)
        } else {
            Self::Lines(News::every(LINES, LINE_WIDTH))
        }
    }

    fn bar(plan: &Plan) -> Self {
        let length = plan.duration().map(|duration| duration.as_millis() as u64).or(plan.iterations());
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(HERTZ));
        let template = if length.is_some() { BAR } else { NO_BAR };
        // A test checks both constants.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        message::keep_below(Some(bar.clone()));
        Self::Bar(bar, News::every(1, LINE_WIDTH))
    }

    /// Shows the progress after a second.
    fn show(&mut self, progress: &Progress, totals: &Snapshot, plan: &Plan) {
        match self {
            Self::Nothing => {}
            Self::Lines(news) => {
                if let Some(news) = news.of(progress, totals, plan) {
                    say(news);
                }
            }
            Self::Bar(bar, news) => {
                bar.set_position(match plan.duration() {
                    Some(_) => progress.elapsed.as_millis() as u64,
                    None => totals.triggers.done,
                });
                let bar_width = if bar.length().is_some() { BAR_WIDTH } else { 0 };
                news.fit(Page::stderr().width().saturating_sub(bar_width));
                if let Some(news) = news.of(progress, totals, plan) {
                    bar.set_message(news);
                }
            }
        }
    }
}

impl Drop for Live {
    /// Removes the bar from the terminal.
    fn drop(&mut self) {
        if let Self::Bar(bar, _) = self {
            message::keep_below(None);
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_templates_are_valid() {
        for template in [BAR, NO_BAR] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
