//! Names and units of the metrics, as OpenTelemetry writes them.

use golo::engine::metrics::Metrics;

use crate::outputs::families::{Family, OWN, Unit, plain};

/// What golo's own metrics without a unit count.
const COUNTED: [(&str, &str); 10] = [
    ("golo_checks", "{check}"),
    ("golo_connections", "{connection}"),
    ("golo_connections_opened", "{connection}"),
    ("golo_errors", "{error}"),
    ("golo_generator_busy", "1"),
    ("golo_http_requests", "{request}"),
    ("golo_triggers", "{trigger}"),
    ("golo_triggers_dropped", "{trigger}"),
    ("golo_triggers_due", "{trigger}"),
    ("golo_users", "{user}"),
];
/// Units of load tests' own metrics that UCUM has too.
const KNOWN: [&str; 11] = ["%", "1", "By", "d", "h", "kBy", "min", "ms", "ns", "s", "us"];

/// Returns the name with dots, such as `golo.http.requests`. The name of a load test's own metric stays as it is:
/// `golo.own.rows_read`.
pub(super) fn name(family: &Family<'_>) -> String {
    match family.name.strip_prefix(OWN) {
        Some(own) => format!("{}{own}", OWN.replace('_', ".")),
        None => family.name.replace('_', "."),
    }
}

/// Returns the unit in UCUM. Empty if it is unknown.
pub(super) fn of(family: &Family<'_>, metrics: &Metrics) -> String {
    match family.unit {
        Unit::Seconds => "s".to_owned(),
        Unit::Bytes => "By".to_owned(),
        Unit::None => match family.name.strip_prefix(OWN) {
            Some(own) => own_unit(own, metrics),
            None => {
                let counted = COUNTED.iter().find(|(name, _)| *name == family.name);
                counted.map_or_else(String::new, |(_, unit)| (*unit).to_owned())
            }
        },
    }
}

/// Returns the unit that the load test gave to this metric.
fn own_unit(own: &str, metrics: &Metrics) -> String {
    let metric = metrics.own().find(|(name, _)| plain(name) == own);
    match metric.and_then(|(_, metric)| metric.unit()) {
        Some("bytes" | "B") => "By".to_owned(),
        Some("µs") => "us".to_owned(),
        Some(unit) if KNOWN.contains(&unit) => unit.to_owned(),
        // Any text in braces is a unit in UCUM.
        Some(unit) if !unit.contains(['{', '}']) && unit.is_ascii() => format!("{{{unit}}}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use golo::engine::metrics::{Share, Value};

    use super::*;
    use crate::outputs::families::Kind;

    fn family(name: &'static str, unit: Unit) -> Family<'static> {
        Family { name: name.into(), help: "", unit, kind: Kind::Counter, series: Vec::new() }
    }

    #[test]
    fn names_have_dots_and_units_are_those_of_ucum() {
        let mut metrics = Metrics::default();
        for (name, unit) in [("rows_read", Some("rows")), ("took", Some("ms")), ("bare", None)] {
            metrics.add(name, unit, None, &Value::Rate(Share::default()));
        }
        for (given, unit, name_and_unit) in [
            ("golo_http_request_duration", Unit::Seconds, ("golo.http.request.duration", "s")),
            ("golo_http_received", Unit::Bytes, ("golo.http.received", "By")),
            ("golo_triggers_due", Unit::None, ("golo.triggers.due", "{trigger}")),
            ("golo_own_rows_read", Unit::None, ("golo.own.rows_read", "{rows}")),
            ("golo_own_took", Unit::None, ("golo.own.took", "ms")),
            ("golo_own_bare", Unit::None, ("golo.own.bare", "")),
        ] {
            let family = family(given, unit);
            assert_eq!((&*name(&family), &*of(&family, &metrics)), name_and_unit);
        }
    }
}
