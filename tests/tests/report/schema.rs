//! `golo/docs/summary.schema.json`, checked against the summaries of real runs.

use std::{collections::BTreeSet, path::Path};

use golo_tests::{Signal, until};
use jsonschema::Validator;
use serde_json::Value;

use crate::call::{Call, Ran, sample};

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golo/docs/summary.schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[track_caller]
fn assert_valid(validator: &Validator, ran: &Ran) {
    let summary = ran.summary();
    let errors: Vec<_> = validator.iter_errors(&summary).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let mut unknown = BTreeSet::new();
    compare(&summary, &schema(), &schema(), "", &mut unknown);
    assert!(unknown.is_empty(), "without a description: {unknown:#?}");
}

/// Collects the keys of `value` that its schema does not describe.
fn compare(value: &Value, schema: &Value, whole: &Value, place: &str, unknown: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let definition = whole.pointer(name.trim_start_matches('#')).unwrap();
        return compare(value, definition, whole, place, unknown);
    }
    if let Some(options) = schema["anyOf"].as_array() {
        return compare(
            value,
            options.iter().find(|option| option["type"] == "object").unwrap(),
            whole,
            place,
            unknown,
        );
    }
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let place = format!("{place}/{key}");
                match schema["properties"].get(key) {
                    Some(known) => compare(value, known, whole, &place, unknown),
                    None => _ = unknown.insert(place),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| compare(value, &schema["items"], whole, place, unknown)),
        _ => {}
    }
}

#[test]
fn every_key_has_a_description() {
    fn walk(schema: &Value, place: &str) {
        for (key, known) in schema["properties"].as_object().into_iter().flatten() {
            let place = format!("{place}/{key}");
            assert!(known["description"].as_str().is_some_and(|text| text.ends_with('.')), "{place}");
            walk(known, &place);
            walk(&known["items"], &place);
        }
        assert_ne!(schema["additionalProperties"], false, "{place}: additions are no break");
    }
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema));
    walk(&schema, "");
    schema["$defs"].as_object().unwrap().values().for_each(|definition| walk(definition, ""));
}

#[tokio::test]
async fn summaries_of_all_kinds_of_runs_are_valid() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let target = sample();
    let thresholds = [
        "http_req_duration p(95)<1m",
        "http_req_failed rate<1%",
        "http_reqs count<5",
        "http_reqs rate>0",
        "data_received count>0",
        "data_received rate>0",
        "checks{check:nobody makes it} rate>1%",
        "tag{amount} min<0",
        "tag{parity:odd} rate<1%",
        "http_req_duration p(95)<1m over 1s",
        "checks{check:nobody makes it} rate>1% over 1s",
        "http_reqs rate>0 over 1h",
    ];
    for (job, flags) in [
        ("mixed", "-u 3 -i 60"),
        ("tags", "-u 3 -i 60"),
        ("hostile tags", "-u 1 -i 3"),
        ("mixed", "-r 50/s -d 2 --workers 2"),
        ("mixed", "-s 1s:5,1s:0"),
        ("mixed", "-s 1s:50/s,1s:0/s"),
        ("get", "-u 4 --pace 100ms -d 1 --warm-up 1s"),
        ("get", "-r 100/s -d 1 --arrivals poisson"),
        ("hang", "-r 100/s --max-users 3 -d 1 --graceful-stop 100ms"),
        ("nothing", "-u 1 -i 1"),
        ("fail", "-u 2 -i 10"),
        ("panic", "-u 2 -i 10"),
        ("return an error", "-u 2 -i 10"),
        ("many routes", "-u 4 -i 1200"),
        ("a hostile route", "-u 1 -i 3"),
        ("block", "-u 1 --workers 1 -d 1 --graceful-stop 100ms"),
        ("get", "-u 1 -i 1 -e SETUP=fails"),
        ("get", "-u 1 -i 1 -e TEARDOWN=fails"),
    ] {
        let thresholds = if job == "get" { &[][..] } else { &thresholds };
        assert_valid(&validator, &Call::new(&target, job, flags).with(thresholds).finish().await);
    }
}

#[tokio::test]
async fn summary_of_a_stopped_run_is_valid() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let target = sample();
    let running = Call::new(&target, "get", "-u 3 -d 60").spawn();
    until("there is load", || target.counter().seen >= 10).await;
    running.program.signal(Signal::INT);
    assert_valid(&validator, &running.finish().await);
}
