//! Files of test data that `golo submit` sends along to the agents.

use std::fs;
use std::path::Path;

use super::fleet::{Call, FEEDS, Fleet};

/// Writes a file with 20 numbered rows to `folder`.
fn rows(folder: &Path) {
    let lines: String = (0..20).map(|number| format!("{number}\n")).collect();
    fs::create_dir_all(folder.join("fixtures")).unwrap();
    fs::write(folder.join("fixtures/rows.csv"), format!("number\n{lines}")).unwrap();
}

#[tokio::test]
async fn file_is_sent_once_and_each_of_its_rows_is_used_once() {
    let fleet = Fleet::start(2).await;
    let folder = tempfile::tempdir().unwrap();
    rows(folder.path());
    for round in 0..2 {
        let flags = "-i 20 -u 4 -e ORDER=unique -e FILE=fixtures/rows.csv --data ./fixtures/rows.csv";
        let mut call = Call::new(&fleet, FEEDS, "", flags);
        call.command.current_dir(folder.path());
        let ran = call.finish().await;
        ran.assert_ended_with(0, "PASSED");
        let summary = ran.summary();
        let used: Vec<_> = summary["checks"].as_array().unwrap().iter().collect();
        let is_once =
            |row: &&serde_json::Value| row["passed"] == 1 && row["name"].as_str().unwrap().starts_with("row ");
        assert!(used.len() == 20 && used.iter().all(is_once), "round {round}: {used:?}");
        for agent in &fleet.agents {
            // The load test and the file.
            assert_eq!(agent.uploads().await, 2, "round {round}");
            let job = agent.jobs().await.pop().unwrap();
            assert_eq!(job["data"]["fixtures/rows.csv"].as_str().unwrap().len(), 64);
            assert_eq!(agent.data_of_jobs(), [""; 0].map(std::path::PathBuf::from), "the folder went with the job");
        }
    }
    fleet.assert_idle().await;
}

#[tokio::test]
async fn file_outside_of_the_current_folder_is_refused() {
    let fleet = Fleet::start(1).await;
    let folder = tempfile::tempdir().unwrap();
    rows(folder.path());
    let expected = "expected the path of a file below the current folder";
    for (flags, variable, reason) in [
        ("--data ../rows.csv", None, expected),
        ("--data /etc/hostname", None, expected),
        ("--data fixtures/none.csv", None, "`--data`: `fixtures/none.csv` cannot be read: "),
        ("--data fixtures", None, "`--data`: `fixtures` cannot be read: it is not a file"),
        ("", Some("fixtures/../../rows.csv"), "`GOLO_DATA` is `fixtures/../../rows.csv`: expected the path of a file"),
    ] {
        let mut call = Call::new(&fleet, FEEDS, "", flags);
        call.command.current_dir(folder.path());
        if let Some(variable) = variable {
            call.command.env("GOLO_DATA", variable);
        }
        let ran = call.finish().await.finished;
        let stderr = ran.stderr.join(" ");
        assert!(ran.code == Some(104) && stderr.contains(reason), "{flags}: {:?} {stderr}", ran.code);
    }
    assert_eq!((fleet.agents[0].uploads().await, fleet.agents[0].jobs().await.len()), (0, 0));
}
