use proptest::prelude::*;

use super::*;

#[test]
fn thresholds_are_parsed_and_displayed() {
    for (text, said) in [
        ("http_req_duration p(95)<200ms", "http_req_duration p(95)<200ms"),
        ("http_req_duration p(95)<200", "http_req_duration p(95)<200ms"),
        ("  http_req_duration  p ( 99.90 )  <=  1.50  s  ", "http_req_duration p(99.9)<=1.5s"),
        ("http_req_failed rate<1%", "http_req_failed rate<1%"),
        ("http_req_failed rate<0.01", "http_req_failed rate<0.01"),
        ("http_req_duration{route:/items/{id}} p(99.9)<1s", "http_req_duration{route:/items/{id}} p(99.9)<1s"),
        ("http_req_duration{route:/items/{id}}p(99.9)<1s", "http_req_duration{route:/items/{id}} p(99.9)<1s"),
        ("http_reqs rate>1000", "http_reqs rate>1000"),
        ("http_reqs rate>1000/s", "http_reqs rate>1000"),
        ("iterations count>=100", "iterations count>=100"),
        ("data_received rate<1MB", "data_received rate<1MB/s"),
        ("data_sent count!=512KiB", "data_sent count!=512KiB"),
        ("iteration_response med==3µs", "iteration_response med==3us"),
        ("vus max<=0", "vus max<=0"),
        ("cart_value{shop:north,tenant:a} p(95)<-1.5", "cart_value{shop:north,tenant:a} p(95)<-1.5"),
        ("hits rate>95%", "hits rate>95%"),
        ("orders rate>20/s", "orders rate>20/s"),
        ("queue value<5", "queue value<5"),
        ("group_duration{group:checkout::pay} p(95)<2s", "group_duration{group:checkout::pay} p(95)<2s"),
        ("http_reqs{tenant:blue, route:/} count>0", "http_reqs{route:/,tenant:blue} count>0"),
        (r#"http_reqs{"my key":x} count>0"#, r#"http_reqs{"my key":x} count>0"#),
        ("http_reqs { status : 200 , route : /a b } count>0", "http_reqs{route:/a b,status:200} count>0"),
        (r#"checks{check:"a, \"b\" }"} rate==100%"#, r#"checks{check:"a, \"b\" }"} rate==100%"#),
        ("http_reqs{route:/{a,b},error:tls} count<1", r#"http_reqs{route:"/{a,b}",error:tls} count<1"#),
        ("http_req_failed rate<5% over 30s", "http_req_failed rate<5% over 30s"),
        ("http_req_duration p(95)<200  over  90", "http_req_duration p(95)<200ms over 1m30s"),
        ("vus max<=1 over 60m", "vus max<=1 over 1h"),
        (
            "http_reqs{origin:http://[::1]:80,outcome:failed} count<1",
            "http_reqs{origin:http://[::1]:80,outcome:failed} count<1",
        ),
    ] {
        assert_eq!(threshold(text).to_string(), said);
        assert_eq!(threshold(said), threshold(text));
    }
}

#[test]
fn error_shows_position_and_expectation() {
    let said = |text: &str| text.parse::<Threshold>().unwrap_err().to_string();
    assert_eq!(
        said("htp_reqs rate>1000"),
        "unknown metric `htp_reqs`\n  htp_reqs rate>1000\n  ^\ndid you mean `http_reqs`?"
    );
    assert_eq!(
        said("checks{check:界é} avg<1"),
        "`checks` has no statistic `avg`\n  checks{check:界é} avg<1\n                    ^\nexpected `rate`"
    );
    assert_eq!(said("\u{1b}"), "no metric begins with `\\u{1b}`\n  \\u{1b}\n  ^\n".to_owned() + &metrics());
}

fn metrics() -> String {
    format!("expected {}", crate::support::nearest::one_of(&Metric::all().map(Metric::name).collect::<Vec<_>>()))
}

#[test]
fn mistakes_are_reported_at_their_position() {
    for (text, place, reason, hint) in [
        ("", 0, "the metric is missing", &*metrics()),
        ("été p(95)<1", 0, "unknown metric `été`", &*metrics()),
        ("http_req_duraton p(95)<1", 0, "unknown metric `http_req_duraton`", "did you mean `http_req_duration`?"),
        ("chekcs rate>1", 0, "unknown metric `chekcs`", "did you mean `checks`?"),
        ("orders{tenant} count>1", 13, "no value begins with `}`", "expected `:` and a value"),
        ("orders{} count>1", 7, "no tag begins with `}`", "expected a key and a value"),
        ("orders{a:1,a:2} count>1", 11, "`a` is given twice", "expected each tag at most once"),
        ("orders sum>1", 7, "`orders` has no statistic `sum`", "expected `count`, `rate`, `value`, "),
        ("orders rate>1ms", 13, "`ms` is no unit here", "expected a number per second, or a share as `95%`"),
        ("vus{route:/} max<1", 3, "`vus` has no tags", "expected `min` or `max`"),
        ("http_reqs{rout:/} count<1", 10, "`http_reqs` has no tag `rout`", "did you mean `route`?"),
        ("http_reqs{} count<1", 10, "no tag begins with `}`", "expected `route`, `method`, `status`, "),
        ("http_reqs{route:/,} count<1", 18, "no tag begins with `}`", "expected `route`, "),
        ("http_reqs{route} count<1", 15, "no value begins with `}`", "expected `:` and a value"),
        ("http_reqs{route:} count<1", 16, "no value begins with `}`", "expected a value; an empty one is `\"\"`"),
        ("http_reqs{route:/{id} count<1", 9, "this brace is not closed", "expected `}` after the tags"),
        ("http_reqs{route", 9, "this brace is not closed", "expected `}` after the tags"),
        ("http_reqs{route:\"/} count<1", 16, "this quote is not closed", "expected `\"` after the value"),
        ("http_reqs{route:\"/\"x} count<1", 19, "no tag begins with `x`", "expected `,` or `}`"),
        ("http_reqs{route:/,route:/} count<1", 18, "`route` is given twice", "expected each tag at most once"),
        ("http_reqs{status:2xx} count<1", 17, "no request has the status `2xx`", "expected a status from 100 to 999"),
        ("http_reqs{error:timout} count<1", 16, "no request has the error `timout`", "did you mean `timeout`?"),
        ("http_reqs p(95)<1", 10, "`http_reqs` has no statistic `p`", "expected `count` or `rate`"),
        ("http_req_duration p95<1", 18, "`http_req_duration` has no statistic `p95`", "did you mean `p(95)`?"),
        ("http_req_duration rate<1", 18, "`http_req_duration` has no statistic `rate`", "expected `avg`, `min`, "),
        ("http_req_duration p(101)<1", 20, "no percentile", "expected a number from 0 to 100 in brackets"),
        ("http_req_duration p()<1", 20, "no percentile", "expected a number from 0 to 100 in brackets"),
        ("http_req_duration p(95<1", 22, "no percentile begins with `<`", "expected `)`"),
        ("http_req_duration", 17, "the statistic is missing", "expected `avg`, `min`, `max`, `med` or `p(N)`"),
        ("http_reqs count=1", 15, "no comparison begins with `=`", "expected `<`, `<=`, "),
        ("http_reqs count", 15, "the comparison is missing", "expected `<`, `<=`, "),
        ("http_reqs count<", 16, "the value is missing", "expected a number"),
        ("http_reqs count<-1", 16, "no value begins with `-`", "expected a number"),
        ("http_reqs count<1.2.3", 16, "no value begins with `1`", "expected a number"),
        ("http_reqs count<1%", 17, "`%` is no unit here", "expected a number"),
        (
            "http_req_duration avg<1%",
            23,
            "`%` is no unit here",
            "expected a number of milliseconds, or one with `ms`, ",
        ),
        ("http_req_failed rate<1ms", 22, "`ms` is no unit here", "expected a share from 0% to 100%, or from 0 to 1"),
        ("http_req_failed rate<5", 21, "no share is more than all", "expected a share from 0% to 100%, or from 0 to 1"),
        ("http_reqs count<1 over", 22, "the length of the windows is missing", "expected whole seconds from 1s to 1h"),
        ("http_reqs count<1 over ten", 23, "`ten` is no length of windows", "expected whole seconds from 1s to 1h"),
        ("http_reqs count<1 over 1500ms", 23, "`1500ms` is no length of windows", "expected whole seconds"),
        ("http_reqs count<1 over 0s", 23, "`0s` is no length of windows", "expected whole seconds"),
        ("http_reqs count<1 over 61m", 23, "`61m` is no length of windows", "expected whole seconds"),
        ("http_reqs count<1 over 5s x", 26, "a threshold ends here", "expected one comparison; "),
        ("http_reqs count<1 overly 5s", 18, "`overly` is no unit here", "expected a number"),
        ("http_reqs count<1 && vus max<1", 18, "a threshold ends here", "expected one comparison; "),
    ] {
        let error = text.parse::<Threshold>().expect_err(text);
        let said = error.to_string();
        assert_eq!(error.offset(), place, "{said}");
        assert_eq!(said.lines().next(), Some(reason));
        assert!(said.lines().last().unwrap().starts_with(hint), "{said}");
    }
}

#[test]
fn each_kind_has_its_own_statistics() {
    for metric in Metric::all() {
        for statistic in ["avg", "min", "max", "med", "p(N)", "count", "rate"] {
            let text = format!("{} {}<1", subject(metric), statistic.replace('N', "1"));
            let is_known = metric.kind().statistics().contains(&statistic);
            assert_eq!(text.parse::<Threshold>().is_ok(), is_known, "{text}");
        }
    }
}

fn statistics(metric: Metric) -> impl Strategy<Value = Statistic> {
    let names = metric.kind().statistics();
    (0..names.len(), 0..=100_000_u32).prop_map(|(at, percent)| {
        Statistic::named(names[at]).unwrap_or(Statistic::Percentile(f64::from(percent) / 1000.0))
    })
}

fn tags(metric: Metric) -> impl Strategy<Value = Vec<Tag>> {
    let text = prop_oneof!["[a-z/{},:\" \\\\é]{0,8}", ".{0,8}"];
    let keys = prop::sample::subsequence(metric.keys(), 0..=metric.keys().len());
    (keys, text, 100..1000_u16, any::<bool>()).prop_map(move |(keys, text, status, failed)| {
        let value = |key| match key {
            tag::Key::Status => status.to_string(),
            tag::Key::Error => if failed { "dns" } else { "status" }.to_owned(),
            tag::Key::Outcome => if failed { "failed" } else { "passed" }.to_owned(),
            _ => text.clone(),
        };
        let value_of_trigger = (metric == Metric::TagValue).then(|| crate::engine::tags::kept(&text).into());
        let trigger = Tag::Trigger { key: format!("k{text}").into(), value: value_of_trigger };
        let trigger = Some(trigger).filter(|_| matches!(metric, Metric::Tag | Metric::TagValue));
        let own =
            ["", "a b", "tenant"].into_iter().take(if metric.has_own_tags() { usize::from(status % 4) } else { 0 });
        let own = own.map(|key| Tag::own(key, &text));
        let keys = keys.into_iter().map(|key| Tag::new(key, &value(key)).unwrap());
        trigger.into_iter().chain(keys).chain(own).collect()
    })
}

pub(super) fn thresholds() -> impl Strategy<Value = Threshold> {
    let metric = prop::sample::select(Metric::all().chain([Metric::TagValue, Metric::Own]).collect::<Vec<_>>());
    let number = prop_oneof![(0..1000_u32).prop_map(f64::from), 0.0..1e12_f64];
    let parts = metric.prop_flat_map(move |metric| {
        let operator = prop::sample::select(&Operator::ALL[..]);
        let over = prop::option::of((1..=3600_u64).prop_map(std::time::Duration::from_secs));
        (Just(metric), tags(metric), statistics(metric), operator, number.clone(), any::<prop::sample::Index>(), over)
    });
    parts.prop_map(|(metric, tags, statistic, operator, number, unit, over)| {
        let dimension = metric.dimension(statistic);
        let number = if dimension == limit::Dimension::Share { number % 1.0 } else { number };
        let number = if dimension == limit::Dimension::Number { number - 500.0 } else { number };
        let units = ["", "ms", "ns", "us", "s", "m", "h", "%", "kB", "MB", "GB", "KiB", "MiB", "GiB", "/s"];
        let units: Vec<_> = units.iter().filter_map(|name| dimension.unit(name)).collect();
        let own = (metric == Metric::Own).then(|| "cart_value".into());
        let limit = Limit { number, unit: units[unit.index(units.len())] };
        Threshold { metric, own, tags, statistic, operator, limit, over }
    })
}

proptest! {
    #[test]
    fn displayed_threshold_parses_to_equal_one(threshold in thresholds()) {
        let said = threshold.to_string();
        prop_assert_eq!(said.parse::<Threshold>().map_err(|error| error.to_string()), Ok(threshold));
    }

    #[test]
    fn garbage_is_an_error_with_position(
        text in "(http_reqs|checks|vus)?[ {}a-z:,\"<>=%0-9.()é]{0,30}|.*",
    ) {
        if let Err(error) = text.parse::<Threshold>() {
            prop_assert!(text.is_char_boundary(error.offset()));
            prop_assert_eq!(error.to_string().lines().count(), 4);
        }
    }

    #[test]
    fn truncated_threshold_never_panics(threshold in thresholds(), cut in any::<prop::sample::Index>()) {
        let said = threshold.to_string();
        let cut: String = said.chars().take(cut.index(said.chars().count())).collect();
        let _ = cut.parse::<Threshold>().map_err(|error| error.to_string());
    }
}
