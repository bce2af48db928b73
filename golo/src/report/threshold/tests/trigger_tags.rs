use std::time::Duration;

use super::*;
use crate::{engine::snapshot::Snapshot, tagify};

/// 100 triggers: 90 pass with status 200 and sizes from 0 to 89, ten fail with status 500 and sizes below 0.
fn measured() -> Snapshot {
    let mut totals = Snapshot::default();
    for number in 0..100_i32 {
        let is_failed = number >= 90;
        let status = if is_failed { "500 Internal Server Error" } else { "200" };
        let size = if is_failed { 89 - number } else { number };
        let tags = tagify([("status", status.to_owned()), ("size", size.to_string()), ("id", format!("id{number}"))]);
        totals.tags.record(&tags, is_failed);
    }
    totals.tags.record(&tagify([("my key", "http://h/items/7?q=1")]), false);
    totals
}

fn judged(text: &str, totals: &Snapshot) -> Judged {
    threshold(text).judge(&Measured { totals, rates: RateTime::all(Duration::from_secs(1)), users: None })
}

#[test]
fn thresholds_on_tags_are_parsed_and_displayed() {
    for (text, said) in [
        ("tag{size} p(95)<20000", "tag{size} p(95)<20000"),
        ("tag { status : 500 } rate < 1%", "tag{status:500} rate<1%"),
        ("tag{size,outcome:failed} avg>=-2.50", "tag{size,outcome:failed} avg>=-2.5"),
        ("tag{status:500,outcome:failed} count==10", "tag{status:500,outcome:failed} count==10"),
        ("tag{x-cache.v1/a:\"a,b\"} count>0", "tag{x-cache.v1/a:\"a,b\"} count>0"),
        (r#"tag{"my \"key":""} count>0"#, r#"tag{"my \"key":""} count>0"#),
        ("tag{url:http://h/items/7?q=1} count>0", "tag{url:http://h/items/{id}} count>0"),
    ] {
        assert_eq!(threshold(text).to_string(), said);
        assert_eq!(threshold(said), threshold(text));
    }
}

#[test]
fn mistakes_are_reported_at_their_position() {
    for (text, place, reason, hint) in [
        (
            "tag count>1",
            4,
            "no key begins with `c`",
            "expected a key in braces, as in `tag{size}` or `tag{status:500}`",
        ),
        ("tag{} count>1", 4, "no key begins with `}`", "expected a key in braces"),
        ("tag{size", 3, "this brace is not closed", "expected `}` after the tags"),
        ("tag{size;} count>1", 8, "no value begins with `;`", "expected `:`, `,` or `}`"),
        ("tag{size,route:/} count>1", 9, "`tag` has no tag `route`", "expected `outcome`"),
        ("tag{status} rate<1%", 12, "`tag` has no statistic `rate`", "a share is that of one value"),
        ("tag{status:500} avg<1", 16, "`tag` has no statistic `avg`", "expected `count` or `rate`"),
        ("tag{status:500} rate<5", 21, "no share is more than all", "expected a share"),
        ("tag{size} avg<20kB", 16, "`kB` is no unit here", "expected a number"),
    ] {
        let error = text.parse::<Threshold>().unwrap_err();
        assert_eq!(error.offset(), place, "{text}");
        let said = error.to_string();
        assert!(said.starts_with(reason) && said.contains(hint), "{text}: {said}");
    }
}

#[test]
fn thresholds_are_judged_by_tags_of_triggers() {
    let totals = measured();
    for (text, shown) in [
        ("tag{size} max==89", "89"),
        ("tag{size} min==-10", "-10"),
        ("tag{size} avg>0", "39.5"),
        ("tag{size} count==100", "100"),
        ("tag{size,outcome:failed} avg==-5.5", "-5.5"),
        ("tag{size,outcome:passed} min>=0", "0"),
        ("tag{status:200} rate==90%", "90%"),
        ("tag{status:500} count==10", "10"),
        ("tag{status:500,outcome:failed} rate==100%", "100%"),
        ("tag{status:500,outcome:passed} count==0", "0"),
        ("tag{status:404} count<1", "0"),
        ("tag{\"my key\":http://h/items/8} count==1", "1"),
    ] {
        let judged = judged(text, &totals);
        assert!(judged.passed, "{judged:?}");
        assert_eq!(judged.shown(), shown, "{text}");
    }
    let missed = judged("tag{size} avg<-1", &totals);
    assert!(!missed.passed && missed.reason.is_none());
    let json = serde_json::to_value(missed.actual).unwrap();
    assert_eq!((json["value"].as_f64(), json["unit"].as_str()), (Some(39.5), Some("number")));
}

#[test]
fn unknown_tag_or_value_fails_with_reason() {
    let mut totals = measured();
    for number in 0..200 {
        totals.tags.record(&tagify([("word", format!("w{number}"))]), false);
    }
    for (text, reason) in [
        ("tag{sttus:500} count<1", "no trigger has the tag `sttus`; did you mean `status`?"),
        ("tag{latency} p(95)<1", "no trigger has the tag `latency`"),
        ("tag{latency} count<1", "no trigger has the tag `latency`"),
        ("tag{status} avg<300", "10 of 100 values of the tag `status` are no numbers, as `500 Internal Server Error`"),
        ("tag{word:w199} count<1", "the value `w199` is not told apart: the tag `word` has more than 100 values"),
        ("tag{id,outcome:failed} avg<1", "10 of 10 values of the tag `id` are no numbers, as `id90`"),
    ] {
        let judged = judged(text, &totals);
        assert_eq!((judged.passed, judged.reason.as_deref()), (false, Some(reason)), "{text}");
    }
    assert!(judged("tag{word:w0} count==1", &totals).passed, "one that is kept is known exactly");
    assert!(judged("tag{word:a} count==0", &totals).passed, "one that would have been kept never came");
    for number in 0..100 {
        totals.tags.record(&tagify([(format!("k{number}"), "1")]), false);
    }
    let reason = judged("tag{latency} avg<1", &totals).reason.unwrap();
    assert_eq!(reason, "the tag `latency` is not told apart: there are more than 50 keys of tags");
}

#[test]
fn only_threshold_that_cannot_pass_is_lost() {
    let totals = measured();
    let measured = Measured { totals: &totals, rates: RateTime::all(Duration::from_secs(1)), users: None };
    let can_hold = |text: &str, samples: u64| {
        threshold(text).can_hold(&measured, Room { samples: Some(samples), ..Room::default() })
    };
    assert!(!can_hold("tag{size} max<50", 10) && !can_hold("tag{size} min>0", 10), "what came cannot be taken back");
    assert!(can_hold("tag{size} min<-50", 1) && !can_hold("tag{size} min<-50", 0));
    assert!(can_hold("tag{size} avg<-1000", 1) && !can_hold("tag{size} avg<0", 0));
    assert!(can_hold("tag{size} p(50)<20", 1000) && !can_hold("tag{size} p(50)<20", 10));
    assert!(can_hold("tag{size} p(90)>200", 1000) && !can_hold("tag{size} p(50)>200", 10));
    assert!(!can_hold("tag{status:500} count<10", 10) && can_hold("tag{status:500} rate<1%", 1000));
    assert!(can_hold("tag{latency} avg<1", 1) && !can_hold("tag{latency} avg<1", 0), "it may come yet");
    assert!(!can_hold("tag{status} avg<1000", 1000), "a text stays one");
}
