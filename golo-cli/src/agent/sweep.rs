//! Deletes what nobody waits for any more.

use std::{fs, io, mem, time::Duration};

use golo::cli::say;

use super::{job::Job, jobs::Agent, kept::Kept};
use crate::support::moments::now;

/// Most jobs that are over and still listed.
const LISTED: usize = 1000;

impl Agent {
    /// Records that were kept long enough, jobs that are listed no more, and load tests that nobody uses.
    pub fn sweep(&self) {
        let keep = self.options.keep;
        let jobs = self.jobs();
        for job in &jobs {
            let kept = job.kept();
            let free = if kept.for_collector { kept.committed_at.or(kept.refused_at) } else { kept.ended };
            // One whose records have not been counted is still being ended.
            if kept.state.is_over()
                && kept.records > 0
                && free.is_some_and(|free| Duration::from_nanos(now().saturating_sub(free)) > keep)
            {
                delete_records(job);
            }
        }
        let is_wanted = |kept: &Kept| kept.for_collector && kept.committed_at.is_none() && !kept.is_swept;
        let over = jobs.iter().filter(|job| job.state().is_over());
        let forgotten: Vec<_> = over.clone().take(over.count().saturating_sub(LISTED)).collect();
        for job in forgotten.into_iter().filter(|job| !is_wanted(&job.kept())) {
            self.forget(&job.id);
            _ = fs::remove_dir_all(job.folder());
        }
        let used: Vec<_> = jobs.iter().filter(|job| !job.state().is_over()).map(|job| job.kept().binary).collect();
        self.binaries.sweep(keep, |hash| used.iter().any(|used| used == hash));
    }
}

/// Deletes a job's records, if they are still there.
fn delete_records(job: &Job) {
    // Said before they are gone, or whoever looks in between takes it for one that has lost them.
    let is_news = job.change(|kept| !mem::replace(&mut kept.is_swept, true));
    let is_said = !is_news || job.save().is_ok();
    let path = job.folder().join("records");
    match fs::remove_file(&path) {
        Err(error) if is_news && error.kind() != io::ErrorKind::NotFound => {
            say(format_args!("golo agent: `{}` cannot be deleted, and is tried again: {error}", path.display()));
        }
        _ => {}
    }
    if !is_said {
        // A full disk has room now.
        _ = job.save();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::agent::{jobs::AgentOptions, kept::State};

    fn agent(data: &Path) -> std::sync::Arc<Agent> {
        let options = AgentOptions {
            name: "a".to_owned(),
            data: data.to_owned(),
            max_upload: 1 << 20,
            limits: Default::default(),
            keep: Duration::ZERO,
            has_collector: false,
            statuses: Default::default(),
        };
        Agent::open(options).unwrap().0
    }

    /// A job that was over long ago.
    fn over(agent: &Agent) -> std::sync::Arc<Job> {
        let hash = "0".repeat(64);
        fs::write(agent.options.data.join("binaries").join(&hash), "").unwrap();
        let job = agent.queue(json!({ "binary": hash })).unwrap();
        job.change(|kept| (kept.state, kept.ended, kept.records) = (State::Completed, Some(1), 3));
        job
    }

    #[test]
    fn records_are_deleted_that_nobody_waits_for_and_no_others() {
        let data = tempfile::tempdir().unwrap();
        let agent = agent(data.path());
        let with = |change: &dyn Fn(&mut Kept)| {
            let job = over(&agent);
            fs::write(job.folder().join("records"), "what was measured").unwrap();
            job.change(change);
            job
        };
        let free = with(&|_| {});
        let others = [
            with(&|kept| (kept.state, kept.ended) = (State::Running, None)),
            // Its agent was killed before it had counted them.
            with(&|kept| kept.records = 0),
            with(&|kept| kept.for_collector = true),
            with(&|kept| kept.ended = Some(now() + 1_000_000_000_000)),
        ];
        agent.sweep();
        let has = |job: &Job| job.folder().join("records").exists();
        assert_eq!((has(&free), others.each_ref().map(|job| has(job))), (false, [true; 4]));
        assert!(Kept::read(free.folder()).unwrap().is_swept && others.iter().all(|job| !job.kept().is_swept));
    }

    #[test]
    fn what_cannot_be_deleted_is_tried_again_and_said_to_be_gone() {
        let data = tempfile::tempdir().unwrap();
        let agent = agent(data.path());
        let job = over(&agent);
        let path = job.folder().join("records");
        fs::create_dir(&path).unwrap();
        agent.sweep();
        assert!(path.exists() && Kept::read(job.folder()).unwrap().is_swept);
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "what was measured").unwrap();
        agent.sweep();
        assert!(!path.exists());
    }
}
