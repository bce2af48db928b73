//! Tags of triggers: recorded by both drivers, and the source of requests if the load test prints no `Output`.

use super::*;

/// Returns the tag of a summary with this key.
#[track_caller]
fn tag<'a>(summary: &'a Value, key: &str) -> &'a Value {
    let keys = summary["tags"]["keys"].as_array().unwrap();
    keys.iter().find(|tag| tag["key"] == key).unwrap_or_else(|| panic!("no tag {key}: {}", summary["tags"]))
}

fn values(tag: &Value) -> Vec<(&str, u64, u64)> {
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap();
    let values = tag["values"].as_array().unwrap().iter();
    values.map(|value| (value["value"].as_str().unwrap(), number(value, "passed"), number(value, "failed"))).collect()
}

#[tokio::test]
async fn tags_are_recorded_by_both_drivers() {
    for way in WAYS {
        let target = sample();
        let mut call = Call::new(JOBS, target.url(), &format!("--name tag -u 3 -i 60 --drive {way}"));
        for threshold in ["tag{size} p(95)<20000", "tag{status:200} rate==100%", "tag{number} count==60"] {
            call.command.args(["-t", threshold]);
        }
        let csv = call.folder.path().join("run");
        call.command.arg("-o").arg(format!("csv={}", csv.display()));
        let ran = call.finish().await;
        ran.assert_ended_with(0, "Tags, as numbers").await;
        let summary = ran.summary();
        let url = format!("{}items/{{id}}", target.url());
        assert_eq!(values(tag(&summary, "url")), [(&*url, 60, 0)], "{way}");
        assert_eq!(values(tag(&summary, "status")), [("200 OK", 60, 0)], "{way}");
        let number = tag(&summary, "number");
        let numbers = &number["numbers"];
        assert_eq!(
            (numbers["count"].as_u64(), numbers["min"].as_f64(), values(number).len()),
            (Some(60), Some(0.0), 0),
            "{way}"
        );
        let rows = fs::read_to_string(ran.folder.path().join("run_tags.csv")).unwrap();
        assert!(rows.contains("\nstatus,200 OK,,60,0,"), "{rows}");
        assert!(rows.contains("\nnumber,,all,60,0,"), "{rows}");
        for text in [summary.to_string(), ran.finished.stdout.join("\n"), rows] {
            assert!(!text.contains("secret"), "the query is nowhere: {text}");
        }
    }
}

#[tokio::test]
async fn requests_are_derived_from_tags_without_outputs() {
    let target = sample();
    let mut call = Call::new(JOBS, target.url(), "--name tag -u 3 -i 60 --drive trigger");
    for threshold in ["http_reqs{route:/items/{id},status:200} count==60", "http_req_failed rate<1%"] {
        call.command.args(["-t", threshold]);
    }
    let ran = call.finish().await;
    ran.assert_ended_with(0, "all requests are made of the tags").await;
    let summary = ran.summary();
    assert_eq!((target.counter().seen, ran.requests(), ran.lines()), (60, 60, 0));
    let requests = &summary["requests"];
    assert_eq!(requests["from_tags"], 60);
    let route = &requests["routes"][0];
    assert_eq!((&route["route"], &route["method"]), (&"/items/{id}".into(), &"GET".into()));
    let sizes = tag(&summary, "size")["numbers"]["mean"].as_f64().unwrap() * 60.0;
    assert_eq!(route["received"].as_f64().map(f64::round), Some(sizes.round()));
    // The duration of the request is that of its trigger.
    assert_eq!(route["duration"]["count"], 60);
    assert!(route["duration"]["min"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn request_with_both_an_output_and_tags_counts_once() {
    for flags in ["-u 3 -i 60", "-u 2 -i 2", "-r 50/s -d 2"] {
        let target = sample();
        let flags = format!("--name print-and-tag {flags} --drive trigger");
        let ran = Call::new(JOBS, target.url(), &flags).finish().await;
        let is_late = ran.finished.code == Some(96);
        ran.assert_ended_with(if is_late { 96 } else { 0 }, "Tags").await;
        let seen = target.counter().seen;
        assert_eq!((ran.requests(), ran.lines()), (seen, seen), "{flags}");
        assert_eq!(ran.summary()["requests"]["from_tags"], 0, "{flags}");
    }
}

#[tokio::test]
async fn tags_of_failed_triggers_make_failed_requests() {
    let target = sample();
    let mut call = Call::new(JOBS, target.url(), "--name tag-failures -u 1 -i 10 --drive trigger");
    for threshold in ["tag{status:503} rate<1%", "tag{status:503,outcome:failed} count==5", "tag{staus:503} count<1"] {
        call.command.args(["-t", threshold]);
    }
    let ran = call.finish().await;
    ran.assert_ended_with(99, "no trigger has").await;
    let summary = ran.summary();
    assert_eq!(values(tag(&summary, "status")), [("200", 5, 0), ("503", 0, 5)]);
    let reason = &summary["thresholds"][2]["reason"];
    assert_eq!(reason, "no trigger has the tag `staus`; did you mean `status`?");
    let passed = |at: usize| summary["thresholds"][at]["passed"].as_bool().unwrap();
    assert_eq!([passed(0), passed(1), passed(2)], [false, true, false]);
    assert_eq!(summary["requests"]["total"]["failed"], 5);
    let errors = summary["errors"].as_array().unwrap();
    assert_eq!(
        (errors.len(), &errors[0]["kind"], &errors[0]["count"]),
        (1, &"returned".into(), &5.into()),
        "{errors:?}"
    );
}
