//! Databases that cannot be written for a while: locked by another process, or on a full disk.

use std::sync::mpsc::{Sender, channel};

use golo_cli::results::store::Store;
use rustix::process::{Resource, Rlimit, prlimit};

use super::*;

/// In the closed model no start can be late.
const FLAGS: [&str; 8] = ["run", JOBS, "--name", "take half a second", "-u", "2", "-d", "5"];

/// Starts a run whose database can be put on a full disk, and waits until a second of it is stored.
async fn running(kept: &Kept) -> Program {
    let mut command = command("/bin/sh");
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_golo-command")]).args(FLAGS);
    command.env("TARGET_URL", kept.target.url()).env_remove("GOLO_NO_KEEP").env("GOLO_DB", kept.file("runs.db"));
    let program = Program::spawn(command);
    seconds_of(kept, FLAGS[3]).await;
    program
}

/// Locks the database. The lock ends when the returned value is dropped.
fn lock(kept: &Kept) -> Sender<()> {
    let (release, released) = channel();
    let (locked, is_locked) = channel();
    let path = kept.file("runs.db");
    std::thread::spawn(move || {
        let mut store = Store::open(&path).unwrap();
        let hold = store.write(|_| {
            locked.send(()).unwrap();
            _ = released.recv();
        });
        hold.unwrap();
    });
    is_locked.recv().unwrap();
    release
}

/// Limits the size of the files that a program writes.
fn limit_files(program: &Program, current: Option<u64>) {
    let limit = prlimit(Some(program.id()), Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
    assert_eq!(limit.maximum, None);
    prlimit(Some(program.id()), Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
}

/// Returns printed lines as one, without their indents.
fn joined(lines: &[String]) -> String {
    lines.iter().flat_map(|line| line.split_whitespace()).collect::<Vec<_>>().join(" ")
}

/// Asserts that a run was stored whole although its database could not be written for a while.
async fn assert_whole(kept: &Kept, ran: &Finished) {
    assert_eq!((ran.code, ran.said("golo: the results are stored again")), (Some(0), 1), "{ran:#?}");
    let shown = kept.golo(&["show", &kept_as(ran)]).await;
    assert_eq!(shown.stdout, ran.stdout);
}

#[tokio::test]
async fn run_is_stored_whole_although_its_database_was_locked_for_a_while() {
    let kept = Kept::new();
    let mut running = running(&kept).await;
    let locked = lock(&kept);
    let warning = running.stderr.wait_for("golo: warning: the results ").await;
    assert!(warning.contains("retrying: ") && warning.contains("another process has locked the database"), "{warning}");
    drop(locked);
    assert_whole(&kept, &running.finish().await).await;
}

#[tokio::test]
async fn run_is_stored_whole_although_the_disk_was_full_for_a_while() {
    let kept = Kept::new();
    let mut running = running(&kept).await;
    limit_files(&running, Some(1));
    running.stderr.wait_for("golo: warning: the results cannot be stored at the moment, retrying: ").await;
    limit_files(&running, None);
    assert_whole(&kept, &running.finish().await).await;
}

#[tokio::test]
async fn end_that_cannot_be_stored_is_said_to_be_missing() {
    let kept = Kept::new();
    let mut running = running(&kept).await;
    limit_files(&running, Some(1));
    running.stderr.wait_for("golo: waiting at most 10 s for the results to be stored").await;
    running.signal(Signal::INT);
    let ran = running.finish().await;
    let warned = "golo: warning: the results are not stored, or only in part: ";
    assert_eq!((ran.code, ran.said(warned), ran.said("stored as")), (Some(0), 1, 0), "{ran:#?}");
    let summary = joined(&ran.stdout);
    let expected = format!("store {}: not stored, or only in part: ", kept.file("runs.db").display());
    assert!(summary.contains(&expected), "{summary}");
    assert!(summary.contains(" records with the end of the run could not be written: "), "{summary}");
    let shown = kept.golo(&["show"]).await;
    let known = joined(&shown.stdout);
    assert!(known.starts_with("NOT ENDED: ") && known.contains("or could not store the end"), "{shown:#?}");
}
