//! Commands that a job's engine receives when the job is stopped.

use serde_json::json;

use super::*;
use crate::drive::run_end::RunEnd;

fn job(folder: &Path) -> Job {
    let kept = json!({
        "id": "j", "number": 0, "run": "r", "agent": "a", "name": "shop", "binary": "", "request": {}, "plan": "",
        "length": null, "share": [0, 1], "hold": false, "state": "running", "reason": "", "queued": 0, "started": null,
        "ended": null, "elapsed": 0, "requests": [0, 0], "records": 0, "for_collector": false, "committed": 0,
        "committed_at": null, "is_swept": false
    });
    Job::new(serde_json::from_value(kept).unwrap(), folder.to_owned(), Extent::default())
}

#[test]
fn stop_with_the_end_of_the_run_never_cuts_a_stopping_job() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path());
    let (commands, mut told) = mpsc::channel(9);
    job.begin(commands);
    let aborted = RunEnd { aborted: "iterations count<9".parse().ok(), ..RunEnd::default() };
    let stopped = RunEnd { stopped: Some(Duration::from_secs(3)), ..RunEnd::default() };
    for (run, expected) in [
        (&aborted, Some(Order::Stop)),
        // The client repeats its call because it did not receive the answer.
        (&aborted, None),
        (&stopped, None),
        (&stopped, None),
        (&RunEnd::default(), Some(Order::Cut)),
        (&RunEnd::default(), Some(Order::Cut)),
    ] {
        job.stop("it was stopped", run);
        assert_eq!(told.try_recv().ok(), expected, "{run:?}");
    }
    let Stop { reason, run, .. } = job.stop_asked().unwrap();
    assert_eq!((reason, run), ("it was stopped", RunEnd { aborted: aborted.aborted, ..stopped }));
}

#[test]
fn second_stop_without_the_end_of_the_run_cuts_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path());
    let (commands, mut told) = mpsc::channel(9);
    job.begin(commands);
    job.stop("it was stopped", &RunEnd::default());
    job.stop_once("the agent was stopped");
    job.stop("it was stopped", &RunEnd::default());
    assert_eq!((told.try_recv(), told.try_recv()), (Ok(Order::Stop), Ok(Order::Cut)));
    assert!(told.try_recv().is_err());
}
