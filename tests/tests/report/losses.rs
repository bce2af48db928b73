//! Full disks, impatient users, crashing load tests: as much as possible is reported.

use golo_tests::{Signal, until};

use crate::call::{Call, sample};

/// Shell script that limits files to two kilobytes, which acts like a full disk.
const FULL: &str = "trap '' XFSZ; ulimit -f 4; exec \"$@\"";

#[tokio::test]
async fn full_disk_keeps_old_reports_and_writes_the_small_ones() {
    let target = sample();
    let call = Call::by(FULL, &target, "get", "-u 2 -i 3");
    for name in ["summary.json", "junit.xml", "run_failures.csv"] {
        std::fs::write(call.path(name), "what was there").unwrap();
    }
    let ran = call.finish().await;
    ran.assert_ended_with(1, "PASSED, but ");
    let kept = |name: &str| std::fs::read_to_string(ran.path(name)).unwrap();
    assert_eq!([kept("summary.json"), kept("junit.xml")], ["what was there"; 2]);
    assert_eq!(kept("run_failures.csv"), "kind,error,count,first_seen_seconds\n", "it is small");
    assert_eq!(ran.table("stats")[1]["requests"], "3");
    for name in ["summary.json", "junit.xml"] {
        let said = format!("`{}` could not be written: File too large", ran.path(name).display());
        assert_eq!(ran.finished.said(&said), 1, "{:#?}", ran.finished.stderr);
    }
    let left = ran
        .path("")
        .read_dir()
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(left.count(), 0, "and nothing is left behind");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn lost_output_lines_are_in_every_report() {
    let target = sample();
    let mut call = Call::new(&target, "get", "-u 2 -i 20");
    call.command.args(["-o", "jsonl=/dev/full"]);
    let ran = call.finish().await;
    ran.assert_reported(1, "PASSED");
    let said = "20 output lines could not be written to `/dev/full`: No space left on device (os error 28)";
    assert_eq!(ran.headline(), format!("PASSED, but {said}"));
    let case = ran.junit().case("run", "20 iterations by 2 users").clone();
    assert_eq!(case.trouble, Some(("error".to_owned(), said.to_owned())));
    let file = "  jsonl        /dev/full: not whole: No space left on device (os error 28)";
    assert!(ran.finished.stdout.iter().any(|line| line == file), "{:#?}", ran.finished.stdout);
    assert_eq!(ran.outputs().len(), 20, "the other file has them all");
}

#[tokio::test]
async fn second_signal_still_writes_all_reports() {
    let target = sample();
    let mut running = Call::new(&target, "hang", "-u 5 -d 60").spawn();
    until("all are in flight", || target.counter().seen == 5).await;
    for said in ["a second signal cuts them off", "cutting off the triggers in flight"] {
        running.program.signal(Signal::INT);
        running.program.stderr.wait_for(said).await;
    }
    let ran = running.finish().await;
    ran.assert_reported(105, "STOPPED");
    let summary = ran.summary();
    assert_eq!((&summary["requests"]["interrupted"], &summary["load"]["interrupted"]), (&5.into(), &5.into()));
    assert_eq!(summary["requests"]["total"]["duration"]["count"], 0, "what was cut off counts nowhere else");
}

#[tokio::test]
async fn load_test_that_always_panics_is_reported() {
    let target = sample();
    let ran = Call::new(&target, "panic", "-u 2 -i 50").with(&["iteration_failed rate<1%"]).finish().await;
    ran.assert_reported(99, "FAILED");
    let said = "FAILED: iteration_failed rate<1% was 100%; nothing succeeded: every trigger panicked: out of stock";
    assert_eq!(ran.headline(), said);
    let summary = ran.summary();
    assert_eq!([&summary["triggers"]["failed"], &summary["triggers"]["panicked"]], [50, 50]);
    let [row] = &ran.table("failures")[..] else { panic!("one error is one row") };
    assert_eq!((&*row["kind"], &*row["error"], &*row["count"]), ("panic", "panicked: out of stock", "50"));
}

#[tokio::test]
async fn load_test_that_exits_by_itself_keeps_old_reports() {
    let target = sample();
    let call = Call::new(&target, "get", "-u 2 -i 3 -e SETUP=leaves");
    std::fs::write(call.path("summary.json"), "what was there").unwrap();
    let ran = call.finish().await;
    assert_eq!(ran.finished.code, Some(3), "{:#?}", ran.finished.stderr);
    assert_eq!(std::fs::read_to_string(ran.path("summary.json")).unwrap(), "what was there");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn signal_ends_reports_to_an_unread_pipe() {
    let target = sample();
    let mut call = Call::plain(&target, "get", "-u 2 -i 500 -q");
    let pipe = call.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Opening the pipe for reading and writing does not block. Nothing is read, and the pipe is smaller than a summary.
    let reader = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
    rustix::pipe::fcntl_setpipe_size(&reader, 4096).unwrap();
    call.command.arg("-o").arg(format!("summary={}", pipe.display()));
    let running = call.spawn();
    until("it is full", || rustix::io::ioctl_fionread(&reader).unwrap() == 4096).await;
    running.program.signal(Signal::INT);
    let ran = running.finish().await;
    assert_eq!(ran.finished.code, Some(105), "{:#?}", ran.finished.stderr);
    assert_eq!(ran.finished.said("gave up writing reports because they are not read"), 1);
}
