//! JUnit files, parsed as a CI server does, and checks of the parts such servers need.

use roxmltree::{Document, Node};

use crate::call::{Call, sample};

/// A test suite.
#[derive(Debug)]
pub(crate) struct Junit {
    pub(crate) failures: usize,
    pub(crate) errors: usize,
    pub(crate) cases: Vec<Case>,
    /// The printed summary.
    pub(crate) output: String,
}

/// A test case.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    pub(crate) class: String,
    pub(crate) name: String,
    /// `failure` or `error`, with its message.
    pub(crate) trouble: Option<(String, String)>,
    /// Note on a passed case.
    pub(crate) output: String,
}

impl Junit {
    /// Parses a JUnit file. Asserts that its counts match its cases.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        let document = Document::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let suites = document.root_element();
        let suite = elements(suites).next().unwrap();
        assert_eq!((suites.tag_name().name(), elements(suites).count()), ("testsuites", 1));
        assert_suite(suite);
        let cases: Vec<_> = elements(suite).filter(|node| node.has_tag_name("testcase")).map(Case::read).collect();
        let troubled = |kind: &str| {
            cases.iter().filter(|case| case.trouble.as_ref().is_some_and(|trouble| trouble.0 == kind)).count()
        };
        for node in [suites, suite] {
            let count = |name: &str| attribute(node, name).parse::<usize>().unwrap();
            assert_eq!(count("tests"), cases.len(), "{text}");
            assert_eq!((count("failures"), count("errors")), (troubled("failure"), troubled("error")), "{text}");
        }
        let output = elements(suite).find(|node| node.has_tag_name("system-out")).unwrap();
        let output = output.text().unwrap_or_default().to_owned();
        Self { failures: troubled("failure"), errors: troubled("error"), cases, output }
    }

    pub(crate) fn case(&self, class: &str, name: &str) -> &Case {
        let is = |case: &&Case| case.class == class && case.name == name;
        self.cases.iter().find(is).unwrap_or_else(|| panic!("no {class} {name:?}: {self:#?}"))
    }
}

impl Case {
    fn read(node: Node<'_, '_>) -> Self {
        let seconds: f64 = attribute(node, "time").parse().unwrap();
        assert!(seconds >= 0.0);
        let trouble = elements(node).find(|node| !node.has_tag_name("system-out")).map(|trouble| {
            assert!(["failure", "error"].contains(&trouble.tag_name().name()));
            assert!(!attribute(trouble, "type").is_empty());
            let message = attribute(trouble, "message").to_owned();
            assert_eq!(trouble.text().unwrap_or_default(), message);
            (trouble.tag_name().name().to_owned(), message)
        });
        let class = attribute(node, "classname").rsplit('.').next().unwrap_or_default().to_owned();
        let output = elements(node).find(|node| node.has_tag_name("system-out"));
        let output = output.and_then(|output| output.text()).unwrap_or_default().to_owned();
        Self { class, name: attribute(node, "name").to_owned(), trouble, output }
    }
}

fn elements<'a, 'input>(node: Node<'a, 'input>) -> impl Iterator<Item = Node<'a, 'input>> + use<'a, 'input> {
    node.children().filter(Node::is_element)
}

#[track_caller]
fn attribute<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    node.attribute(name).unwrap_or_else(|| panic!("no {name} in {node:?}"))
}

/// Asserts the requirements of the schemas of Jenkins and Ant for a suite: its attributes, and the order of its
/// elements.
#[track_caller]
fn assert_suite(suite: Node<'_, '_>) {
    for name in ["name", "hostname", "package", "id", "skipped"] {
        assert!(!attribute(suite, name).is_empty(), "{name}");
    }
    let seconds = attribute(suite, "time");
    assert!(seconds.parse::<f64>().is_ok() && seconds.chars().all(|c| c.is_ascii_digit() || c == '.'), "{seconds}");
    let timestamp: Vec<u8> =
        attribute(suite, "timestamp").bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b }).collect();
    assert_eq!(timestamp, b"0000-00-00T00:00:00", "without a zone, and without a fraction");
    let mut names: Vec<_> = elements(suite).map(|node| node.tag_name().name()).collect();
    names.dedup();
    assert_eq!(names, ["properties", "testcase", "system-out", "system-err"]);
    let properties = elements(suite).next().unwrap();
    for property in elements(properties) {
        assert!(!attribute(property, "name").is_empty() && property.attribute("value").is_some());
    }
}

#[tokio::test]
async fn cases_are_the_run_its_thresholds_and_its_checks() {
    let target = sample();
    let (good, bad, none) =
        ("http_req_duration max<1m", "http_req_failed rate<1%", "http_req_duration{route:/nowhere} p(95)<1s");
    let ran = Call::new(&target, "mixed", "-u 2 -i 8").with(&[good, bad, none]).finish().await;
    ran.assert_reported(99, "FAILED");
    let junit = ran.junit();
    assert_eq!((junit.cases.len(), junit.failures, junit.errors), (6, 2, 0));
    assert_eq!(junit.case("run", "8 iterations by 2 users").trouble, None);
    assert_eq!(junit.case("threshold", good).trouble, None);
    // Two of 26 requests.
    assert_eq!(junit.case("threshold", bad).trouble, Some(("failure".to_owned(), "it was 7.69%".to_owned())));
    let reason = junit.case("threshold", none).trouble.as_ref().unwrap();
    assert!(reason.1.contains("no "), "{reason:?}");
    for check in ["the number is even", "all is well"] {
        assert_eq!(junit.case("check", check).trouble, None, "a check fails nothing by itself");
    }
    let text = std::fs::read_to_string(ran.path("junit.xml")).unwrap();
    assert!(text.contains("<system-out>4 of 8 checks failed</system-out>"), "{text}");
}

#[tokio::test]
async fn invalid_xml_characters_are_replaced() {
    let target = sample();
    let threshold = "http_req_duration{route:\"/\n\t<&>\u{7}]]>\"} max<1s";
    let ran = Call::new(&target, "a hostile route", "-u 1 -i 3").with(&[threshold]).finish().await;
    ran.assert_reported(99, "FAILED");
    let junit = ran.junit();
    let case = junit.cases.iter().find(|case| case.class == "check").unwrap();
    assert!(case.name.starts_with("/a") && case.name.contains(",\"'<&>]]>") && case.name.ends_with("=1+1|`$(id)`"));
}
