//! The requests of a run by route, and its measured steps.

use std::collections::{BTreeMap, BTreeSet};

use super::RateTime;
use super::route::Route;
use super::text::clean;
use super::units::{count, counted, percent};
use crate::engine::series::{Label, TagPairs};
use crate::engine::snapshot::{Redirects, Snapshot};

/// The requests of a run, and its measured steps.
pub(super) struct Requests {
    /// The requests by route.
    pub(super) routes: Routes,
    /// Measured steps by name. They are not requests.
    pub(super) steps: Routes,
    /// Number of requests that are derived from the tags of triggers.
    pub(super) from_tags: u64,
    /// Number of responses by status and by whether they count as failed.
    pub(super) statuses: BTreeMap<(u16, bool), u64>,
    /// Requests that followed an unknown number of redirects. One redirect is counted for each.
    pub(super) redirects_at_least: u64,
    /// Origins of all requests.
    origins: BTreeSet<Box<str>>,
}

/// Requests by route, or measured steps by name.
pub(super) struct Routes {
    /// Noun for one of them: `request` or `step`.
    pub(super) noun: &'static str,
    /// Names, labels and measurements, those with the most time spent first.
    pub(super) named: Vec<(String, Label, Route)>,
    /// All of them together.
    pub(super) total: Route,
}

impl Requests {
    pub(super) fn of(totals: &Snapshot) -> Self {
        let mut statuses = BTreeMap::new();
        for (series, measure) in &totals.requests {
            if let Some(status) = series.outcome.status()
                && !series.is_step()
            {
                let known: &mut u64 = statuses.entry((status, series.outcome.is_failed())).or_default();
                *known = known.saturating_add(measure.durations.count());
            }
        }
        let mut redirects = Redirects::default();
        totals.redirects.values().for_each(|of_label| redirects.merge(of_label));
        let origins = totals.requests.keys().map(|series| &series.label.origin);
        let origins: BTreeSet<_> = origins.filter(|origin| !origin.is_empty()).cloned().collect();
        let mut routes = Routes::of(totals, "request", |label| name(label, origins.len() > 1));
        routes.total.redirects = redirects.followed;
        Self {
            routes,
            steps: Routes::of(totals, "step", |label| clean(&label.route)),
            from_tags: totals.requests_from_tags,
            statuses,
            redirects_at_least: redirects.at_least,
            origins,
        }
    }

    /// Describes the redirects, if there were any: the number followed, and the requests that the target received.
    pub(super) fn redirected(&self) -> Option<String> {
        let followed = self.routes.total.redirects;
        if followed == 0 {
            return None;
        }
        let seen = counted(self.routes.total.tried().saturating_add(followed), "request");
        let redirects = counted(followed, "redirect");
        Some(match self.redirects_at_least {
            0 => format!("{redirects} followed: the target saw {seen}"),
            hidden => format!(
                "at least {redirects} followed: the target saw at least {seen} (the load test's own redirect policy does \
                 not tell how many redirects {} followed)",
                counted(hidden, "request")
            ),
        })
    }

    /// Returns the name of a route. It contains the origin only if the run has several.
    pub(super) fn name(&self, label: &Label) -> String {
        if label.is_other() { other() } else { name(label, self.origins.len() > 1) }
    }

    /// Returns the origin of all requests, if they have only one.
    pub(super) fn only_origin(&self) -> Option<String> {
        self.origins.first().filter(|_| self.origins.len() == 1).map(|origin| clean(origin))
    }

    /// Returns the number of requests and measured steps that ended.
    pub(super) fn ended(&self) -> u64 {
        self.routes.total.count().saturating_add(self.steps.total.count())
    }

    /// Describes the part of all requests that is derived from the tags of triggers.
    pub(super) fn tag_note(&self) -> Option<String> {
        let all = self.routes.total.tried();
        let which = match self.from_tags {
            0 => return None,
            1 if all <= 1 => "the request is".to_owned(),
            number if number >= all => "all requests are".to_owned(),
            number => format!("{} of {} requests are", count(number), count(all)),
        };
        Some(format!(
            "{which} made of the tags `url`, `status` and `size` of triggers: the load test printed no `Output`"
        ))
    }
}

impl Routes {
    fn of(totals: &Snapshot, noun: &'static str, name: impl Fn(&Label) -> String) -> Self {
        // Requests of one route may have different tags.
        let mut routes: BTreeMap<(&str, &str, &str), (&Label, Route)> = BTreeMap::new();
        let mut total = Route::default();
        for (series, measure) in totals.requests.iter().filter(|(series, _)| series.is_step() == (noun == "step")) {
            let (_, route) = routes.entry(series.label.target()).or_insert_with(|| (&*series.label, Route::default()));
            route.add(measure, series.outcome);
            total.add(measure, series.outcome);
        }
        for (label, redirects) in &totals.redirects {
            // Past the limit of labels, some redirects belong to `other`, which may have no row.
            if let Some((_, route)) = routes.get_mut(&label.target()) {
                route.redirects = route.redirects.saturating_add(redirects.followed);
            }
        }
        let name = |label: &Label| if label.is_other() { other() } else { name(label) };
        let untagged = |label: &Label| label.clone().with_tags(TagPairs::default());
        let mut named: Vec<_> =
            routes.into_values().map(|(label, route)| (name(label), untagged(label), route)).collect();
        named.sort_by_key(|(_, _, route)| std::cmp::Reverse(route.all.durations.sum()));
        Self { noun, named, total }
    }

    /// Returns the names and measurements, without the labels.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = (&str, &Route)> {
        self.named.iter().map(|(name, _, route)| (&**name, route))
    }

    /// Describes those that ended after the load, unless rates count them, and those that were cut off.
    pub(super) fn remarks(&self, rates: RateTime) -> Vec<String> {
        let (after, interrupted) = (self.total.all.after_load, self.total.interrupted);
        let mut remarks = Vec::new();
        if after > 0 && !rates.counts_after_load {
            remarks.push(format!("{} ended after the load: counted above, but in no rate", counted(after, self.noun)));
        }
        if interrupted > 0 {
            let were = if interrupted == 1 { "was" } else { "were" };
            let (number, share) = (counted(interrupted, self.noun), percent(interrupted, self.total.tried()));
            remarks
                .push(format!("{number} {were} cut off by the end of the run ({share}): in no count and no latency"));
        }
        remarks
    }
}

fn name(label: &Label, with_origin: bool) -> String {
    let origin = if with_origin { &*label.origin } else { "" };
    let space = if origin.is_empty() || label.route.starts_with('/') { "" } else { " " };
    clean(&format!("{} {origin}{space}{}", label.method, label.route))
}

fn other() -> String {
    "other (all past the limit of series)".to_owned()
}
