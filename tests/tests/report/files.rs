//! Files and pipes that reports are written to.

use crate::call::{Call, sample};

#[tokio::test]
async fn refused_run_leaves_existing_files_unchanged() {
    let target = sample();
    let mut call = Call::new(&target, "get", "-u 1 -i 1");
    let names = ["summary.json", "junit.xml", "run_stats.csv", "outputs.jsonl"];
    names.iter().for_each(|name| std::fs::write(call.path(name), "what was there").unwrap());
    call.command.args(["-o", "summary=/no/such/folder/x"]);
    let ran = call.finish().await;
    assert_eq!(ran.finished.code, Some(104), "{:#?}", ran.finished.stderr);
    for name in names {
        assert_eq!(std::fs::read_to_string(ran.path(name)).unwrap(), "what was there", "{name}");
    }
    assert_eq!(ran.path("").read_dir().unwrap().count(), names.len(), "and there is no other");
}

#[tokio::test]
async fn file_used_by_two_reports_is_refused() {
    let target = sample();
    for out in
        ["junit=summary.json", "summary=outputs.jsonl", "jsonl=run_stats.csv", "csv=run", "summary=./summary.json"]
    {
        let mut call = Call::new(&target, "get", "-u 1 -i 1");
        let (kind, name) = out.split_once('=').unwrap();
        let path = call.path(name);
        call.command.arg("-o").arg(format!("{kind}={}", path.display()));
        let ran = call.finish().await;
        assert_eq!((ran.finished.code, ran.finished.said("would be written twice")), (Some(104), 1), "{out}");
    }
    assert_eq!(target.counter().seen, 0);
}

#[tokio::test]
async fn report_to_the_file_of_stdout_is_refused() {
    let target = sample();
    for out in ["summary=", "jsonl="] {
        let mut call = Call::plain(&target, "get", "-u 1 -i 1");
        let path = call.path("out");
        call.command.stdout(std::fs::File::create(&path).unwrap()).arg("-o").arg(format!("{out}{}", path.display()));
        let ran = call.finish().await;
        assert_eq!(
            (ran.finished.code, ran.finished.said("stdout is redirected to it")),
            (Some(104), 1),
            "{:#?}",
            ran.finished.stderr
        );
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), "");
    }
    assert_eq!(target.counter().seen, 0);
}

#[tokio::test]
async fn report_through_a_symlink_keeps_the_link() {
    let target = sample();
    let call = Call::new(&target, "get", "-u 1 -i 1");
    std::fs::create_dir(call.path("runs")).unwrap();
    std::os::unix::fs::symlink("runs/1.json", call.path("summary.json")).unwrap();
    let ran = call.finish().await;
    ran.assert_reported(0, "PASSED");
    assert!(ran.path("summary.json").is_symlink() && ran.path("runs/1.json").is_file());
}

#[tokio::test]
async fn report_can_be_written_to_a_pipe() {
    let target = sample();
    let mut call = Call::by("{ \"$@\" -o summary=/dev/fd/3 >&2; } 3>&1 | cat", &target, "get", "-u 1 -i 1");
    call.command.stdout(std::process::Stdio::piped());
    let ran = call.finish().await;
    let summary: serde_json::Value = serde_json::from_str(&ran.finished.stdout.join("\n")).unwrap();
    assert_eq!(summary["verdict"]["word"], "PASSED");
}
