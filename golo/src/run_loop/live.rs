//! What a person sees while the run goes on: a bar on a terminal, a line every few seconds anywhere else.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    engine::{Progress, plan::Plan, snapshot::Snapshot},
    report::{News, Page},
    support::message::{self, say},
};

const BAR: &str = "{bar:16.cyan/dim} {wide_msg}";
/// Columns that the bar itself takes, with the space after it.
const BAR_WIDTH: usize = 17;
/// Without an end that is known there is no bar to fill.
const NO_BAR: &str = "{wide_msg}";
/// Columns of a line that goes to no terminal.
const LINE_WIDTH: usize = 79;
/// Seconds between lines.
const LINES: u64 = 5;
/// So often it is drawn at most.
const HERTZ: u8 = 4;

/// What is shown.
pub(crate) enum Live {
    Nothing,
    Lines(News),
    Bar(ProgressBar, News),
}

impl Live {
    /// Shows what there will be of a run of `plan`, if it `is_wanted`. Lines on the same terminal, where stdout is taken by
    /// them, would begin behind a bar.
    pub(crate) fn start(is_wanted: bool, is_stdout_taken: bool, plan: &Plan) -> Self {
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
        // Both are constants that a test has tried.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        message::keep_below(Some(bar.clone()));
        Self::Bar(bar, News::every(1, LINE_WIDTH))
    }

    /// Tells of a second that is over.
    pub(crate) fn second(&mut self, progress: &Progress, totals: &Snapshot, plan: &Plan) {
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
    /// The bar leaves the terminal as it was.
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
    fn the_templates_are_right() {
        for template in [BAR, NO_BAR] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
