//! Raw outputs that are read slowly or not at all: only the load test waits.

use super::*;

/// Starts a call that writes its raw outputs to an unread stdout. Its load test produces many outputs.
fn unread(way: &str, flags: &str) -> (Program, TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let mark = format!("GOLO_TEST_MARK={}", folder.path().display());
    let (key, value) = mark.split_once('=').unwrap();
    let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
    command.env(key, value).args(["run", JOBS, "--name", "flood", "-o", "jsonl=-", "--drive", way]);
    command.args(flags.split_whitespace());
    command.arg("--out").arg(format!("summary={}", folder.path().join("summary.json").display()));
    (Program::spawn_unread(command), folder, mark)
}

/// Returns the reported number of outputs that could not be written.
fn unwritten(ran: &Ran) -> u64 {
    let said = " output lines could not be written to stdout: they were not read in time";
    let line = ran.finished.stderr.iter().find_map(|line| line.split_once(said)).expect("lines that were not written");
    let digits = line.0.rsplit([' ', '(']).next().unwrap_or_default();
    digits.replace(',', "").parse().unwrap_or_else(|error| panic!("{error}: {}", line.0))
}

#[tokio::test]
async fn run_with_an_unread_stdout_ends_in_time_with_complete_counts() {
    for way in WAYS {
        let (program, folder, mark) = unread(way, "-u 4 -d 4 --graceful-stop 1s");
        let ran = Ran { finished: program.finish().await, folder, mark };
        let code = ran.finished.code;
        assert!(matches!(code, Some(1 | 96)), "{way}: {code:?}: {:#?}", ran.finished.stderr);
        let read = ran.finished.stdout.iter().filter(|line| line.parse::<golo::Output>().is_ok()).count() as u64;
        assert_eq!(ran.steps(), read + unwritten(&ran), "{way}");
        let done = ran.summary()["load"]["done"].as_u64().unwrap();
        assert!(ran.steps() >= 1000 * done, "{way}: {} of {done} triggers", ran.steps());
        until("nothing is left running", || marked(&ran.mark).is_empty()).await;
    }
}

#[tokio::test]
async fn reader_that_pauses_within_the_grace_receives_everything() {
    for way in WAYS {
        let (mut program, folder, mark) = unread(way, "-u 4 -d 2 --graceful-stop 40s");
        program.stderr.wait_for("Ctrl-C stops it").await;
        // Wait beyond the end of the load, and long enough for all writers to block.
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        program.read();
        let ran = Ran { finished: program.finish().await, folder, mark };
        let code = ran.finished.code;
        assert!(matches!(code, Some(0 | 96)), "{way}: {code:?}: {:#?}", ran.finished.stderr);
        let read = ran.finished.stdout.iter().filter(|line| line.parse::<golo::Output>().is_ok()).count() as u64;
        assert_eq!((ran.steps(), ran.finished.said("could not be written")), (read, 0), "{way}");
    }
}

#[tokio::test]
async fn signals_end_a_run_with_an_unread_stdout() {
    for way in WAYS {
        let (mut program, folder, mark) = unread(way, "-u 4 -d 60");
        // Wait long enough for all writers to block.
        program.stderr.wait_for("Ctrl-C stops it").await;
        until("it has begun", || !running(&mark, JOBS).is_empty()).await;
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        program.signal(Signal::INT);
        program.stderr.wait_for("a second signal cuts them off").await;
        program.signal(Signal::INT);
        let ran = Ran { finished: program.finish().await, folder, mark };
        assert_eq!(ran.finished.code, Some(105), "{way}: {:#?}", ran.finished.stderr);
        assert!(ran.steps() > 0);
        until("nothing is left running", || marked(&ran.mark).is_empty()).await;
    }
}

#[tokio::test]
async fn interrupted_requests_are_not_counted_as_failed() {
    for way in WAYS {
        let target = sample();
        let flags = format!("--name hang -u 3 -d 1 --graceful-stop 300ms --drive {way}");
        let ran = Call::new(JOBS, target.url(), &flags).finish().await;
        ran.assert_ended_with(99, "FAILED: nothing succeeded: no request ended, 3 requests cut off").await;
        let failed = &ran.summary()["requests"]["total"]["failed"];
        assert!(failed == 0, "{way}: {failed}");
    }
}
