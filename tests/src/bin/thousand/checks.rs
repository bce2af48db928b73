//! Compares a summary with the sum of what the simulated engines have reported.

use std::collections::BTreeMap;

use golo::engine::histogram::Histogram;
use golo::engine::snapshot::Snapshot;
use serde_json::Value;

/// Percentiles that are compared, with their names in a summary.
const PERCENTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

/// Returns the differences between a summary and the sum, each as a line.
pub(crate) fn differences(summary: &Value, sum: &Snapshot) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: String, is: &Value, expected: &Value| {
        if is != expected {
            found.push(format!("{what} is {is}, and the sum is {expected}"));
        }
    };
    compare("the verdict".to_owned(), &summary["verdict"]["word"], &"PASSED".into());
    let mut total = Histogram::new();
    let mut routes = BTreeMap::new();
    for (series, measure) in &sum.requests {
        total.merge(&measure.durations);
        routes.insert(&*series.label.route, measure);
    }
    distribution("all requests", &summary["requests"]["total"]["duration"], &total, &mut compare);
    distribution("all triggers", &summary["triggers"]["service"], &sum.triggers.service, &mut compare);
    let shown = summary["requests"]["routes"].as_array().map(Vec::as_slice).unwrap_or_default();
    compare("the number of routes".to_owned(), &shown.len().into(), &routes.len().into());
    for row in shown {
        let route = row["route"].as_str().unwrap_or_default();
        let Some(measure) = routes.get(route) else {
            compare(format!("the route {route}"), &true.into(), &false.into());
            continue;
        };
        distribution(route, &row["duration"], &measure.durations, &mut compare);
        compare(format!("received of {route}"), &row["received"], &measure.received.into());
    }
    found
}

/// Compares a distribution.
fn distribution(what: &str, is: &Value, sum: &Histogram, compare: &mut impl FnMut(String, &Value, &Value)) {
    compare(format!("count of {what}"), &is["count"], &sum.count().into());
    compare(format!("sum of {what}"), &is["sum"], &u64::try_from(sum.sum()).unwrap_or(u64::MAX).into());
    compare(format!("min of {what}"), &is["min"], &sum.min().into());
    compare(format!("max of {what}"), &is["max"], &sum.max().into());
    for (name, quantile) in PERCENTILES {
        compare(format!("{name} of {what}"), &is[name], &sum.quantile(quantile).into());
    }
}
