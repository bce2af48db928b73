//! Output on stdout and stderr.

use crate::call::{Call, sample};

#[tokio::test]
async fn reader_of_one_line_gets_the_verdict() {
    let target = sample();
    let ran = Call::by("{ \"$@\"; echo \"code $?\" >&2; } | head -n 1", &target, "get", "-u 2 -i 50").finish().await;
    assert_eq!(ran.finished.stdout, ["PASSED: 50 requests, none failed"]);
    assert_eq!((ran.finished.said("code 0"), ran.finished.said("panicked")), (1, 0), "{:#?}", ran.finished.stderr);
    assert_eq!((ran.summary()["verdict"]["exit_code"].clone(), target.counter().seen), (0.into(), 50));
}

#[tokio::test]
async fn stdout_in_a_file_has_only_the_summary() {
    let target = sample();
    let mut call = Call::new(&target, "mixed", "-u 2 -i 8");
    let path = call.path("out");
    call.command.env("CLICOLOR_FORCE", "1").stdout(std::fs::File::create(&path).unwrap());
    let ran = call.finish().await;
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.starts_with("PASSED, but ") && text.ends_with('\n') && !text.ends_with("\n\n"), "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert!(text.lines().all(|line| line.chars().count() <= 80 && line.trim_end() == line), "{text}");
    assert!(!ran.finished.stderr.iter().any(|line| line.contains('\u{1b}')), "{:#?}", ran.finished.stderr);
}

#[tokio::test]
async fn stdout_with_raw_lines_has_nothing_else() {
    let target = sample();
    let script = "\"$@\" -o jsonl=- | grep -c sequenceID";
    let ran = Call::by(script, &target, "mixed", "-u 2 -i 40").finish().await;
    // Three requests per trigger, a fourth one in some, and a step.
    assert_eq!(ran.finished.stdout, ["170"]);
    assert_eq!(ran.finished.said("PASSED, but 10 of 130 requests failed"), 1, "{:#?}", ran.finished.stderr);
    let mut call = Call::plain(&target, "mixed", "-u 2 -i 40 -o jsonl=-");
    call.command.env("RUST_BACKTRACE", "1");
    let ran = call.finish().await;
    assert_eq!(ran.finished.outputs().len(), 170);
}

#[tokio::test]
async fn progress_without_a_terminal_is_a_line_every_five_seconds() {
    let target = sample();
    let told = Call::plain(&target, "get", "-r 10/s -d 6").spawn();
    let silent = Call::plain(&target, "get", "-r 10/s -d 6 --no-progress").spawn();
    let quiet = Call::plain(&target, "get", "-r 10/s -d 6 --quiet").spawn();
    let [told, silent, quiet] = [told.finish().await, silent.finish().await, quiet.finish().await];
    let news: Vec<_> = told.finished.stderr.iter().filter(|line| line.contains(" of 6s: ")).collect();
    assert_eq!(news.len(), 1, "{:#?}", told.finished.stderr);
    assert!(news[0].contains(" of 10/s started, ") && news[0].ends_with(", 0 failed"), "{news:?}");
    assert!(!told.finished.stderr.iter().any(|line| line.contains('\u{1b}') || line.contains('\r')));
    // A build without optimisations prints a warning about that, unless it is quiet.
    let is_of_run = |line: &&String| !line.contains("built without optimisations");
    let silent = silent.finished.stderr;
    assert_eq!((silent.iter().filter(is_of_run).count(), quiet.finished.stderr.len()), (1, 0), "{silent:#?}");
    assert_eq!(silent.len(), if cfg!(debug_assertions) { 2 } else { 1 }, "{silent:#?}");
}
