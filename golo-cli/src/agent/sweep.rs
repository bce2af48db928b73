//! Deletes records, jobs and uploads that are no longer needed.

use std::{collections::HashSet, fs, mem, time::Duration};

use golo::cli::{chain, say};

use super::{jobs::Agent, kept::Kept};
use crate::{results::store::StoreError, support::moments::now};

/// Maximum number of listed jobs that are over.
const LISTED: usize = 1000;

impl Agent {
    /// Deletes records that are older than `keep`, the oldest jobs beyond `LISTED`, and old uploads that no job uses.
    pub fn sweep(&self) {
        let keep = self.options.keep;
        let jobs = self.jobs();
        // Before the database, which takes its time: more uploads may come meanwhile, and jobs that use them.
        let open: Vec<_> = jobs.iter().filter(|job| !job.state().is_over()).map(|job| job.kept()).collect();
        self.binaries.sweep(keep, |hash| open.iter().any(|kept| kept.binary == hash));
        self.files.sweep(keep, |hash| open.iter().flat_map(|kept| kept.data.values()).any(|used| used == hash));
        let is_kept_enough = |kept: &Kept| {
            let free = if kept.for_collector { kept.committed_at.or(kept.refused_at) } else { kept.ended };
            // A job without a record count is still being ended.
            kept.records > 0 && free.is_some_and(|free| Duration::from_nanos(now().saturating_sub(free)) > keep)
        };
        let is_wanted = |kept: &Kept| kept.for_collector && kept.committed_at.is_none() && !kept.is_swept;
        let over: Vec<_> = jobs.iter().filter(|job| job.change(|kept| kept.state.is_over())).collect();
        let (mut forgotten, oldest) = (Vec::new(), over.len().saturating_sub(LISTED));
        let (mut is_news, mut unsaved) = (false, Vec::new());
        for (number, job) in over.into_iter().enumerate() {
            let kept = job.kept();
            let is_forgotten = number < oldest && !is_wanted(&kept);
            if is_forgotten {
                forgotten.push(job);
            }
            // Saved before the records are deleted: otherwise a restart would report them as lost.
            if (is_forgotten || is_kept_enough(&kept)) && job.change(|kept| !mem::replace(&mut kept.is_swept, true)) {
                is_news = true;
                if job.save().is_err() {
                    unsaved.push(job);
                }
            }
        }
        let swept: HashSet<_> =
            jobs.iter().filter(|job| job.change(|kept| kept.is_swept)).map(|job| job.id.as_str()).collect();
        let mut done = self.results.sweep(|id| swept.contains(id));
        if let Err(StoreError::Full(_)) = done {
            // Deleting needs a little disk space too.
            self.release();
            done = self.results.sweep(|id| swept.contains(id));
        }
        match done {
            Ok(()) => {
                for job in forgotten {
                    self.forget(&job.id);
                    _ = fs::remove_dir_all(job.folder());
                }
            }
            Err(error) if is_news => {
                say(format_args!("golo agent: records cannot be deleted, retrying later: {}", chain(&error)));
            }
            Err(_) => {}
        }
        // The sweep may have freed space on a full disk.
        unsaved.into_iter().for_each(|job| _ = job.save());
        self.set_aside();
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use golo_proto::engine::event;
    use golo_proto::results::{Ended, ended, record};
    use serde_json::json;

    use std::collections::BTreeMap;

    use super::*;
    use crate::agent::{ending::record, job::Job, jobs::AgentOptions, kept::State};

    fn agent(data: &Path) -> Arc<Agent> {
        let options = AgentOptions {
            name: "a".to_owned(),
            labels: BTreeMap::new(),
            data: data.to_owned(),
            max_upload: 1 << 20,
            limits: Default::default(),
            trust: Default::default(),
            keep: Duration::ZERO,
            has_collector: false,
            statuses: Default::default(),
            receivers: Vec::new(),
            drive: crate::agent::runner::drive,
        };
        Agent::open(options).unwrap().0
    }

    fn queued(agent: &Arc<Agent>) -> Arc<Job> {
        let hash = "0".repeat(64);
        fs::write(agent.options.data.join("binaries").join(&hash), "").unwrap();
        agent.queue(json!({ "binary": hash })).unwrap()
    }

    /// Returns a job that ended long ago and has two records, the first and the last.
    async fn over(agent: &Arc<Agent>) -> Arc<Job> {
        let job = queued(agent);
        agent.end(&job, Ended { state: ended::State::Completed.into(), ..Ended::default() }).await;
        job.change(|kept| kept.ended = Some(1));
        job
    }

    async fn records(agent: &Agent, job: &Job) -> Option<u64> {
        agent.results.read(job, 0, usize::MAX).await.unwrap().map(|chunk| chunk.next)
    }

    #[tokio::test]
    async fn sweep_deletes_only_records_older_than_keep() {
        let data = tempfile::tempdir().unwrap();
        let agent = agent(data.path());
        let with = async |change: &dyn Fn(&mut Kept)| {
            let job = over(&agent).await;
            job.change(change);
            job
        };
        let free = with(&|_| {}).await;
        let others = [
            with(&|kept| (kept.state, kept.ended) = (State::Running, None)).await,
            // The agent was killed before it had counted the records.
            with(&|kept| kept.records = 0).await,
            with(&|kept| kept.for_collector = true).await,
            with(&|kept| kept.ended = Some(now() + 1_000_000_000_000)).await,
        ];
        agent.sweep();
        assert_eq!(records(&agent, &free).await, None);
        assert!(Kept::read(free.folder()).unwrap().is_swept);
        for other in others {
            assert_eq!((records(&agent, &other).await, other.kept().is_swept), (Some(2), false));
        }
    }

    #[tokio::test]
    async fn sweep_shrinks_the_database_file() {
        let data = tempfile::tempdir().unwrap();
        let agent = agent(data.path());
        let path = data.path().join("results.db");
        let size = || {
            let other = rusqlite::Connection::open(&path).unwrap();
            other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            path.metadata().unwrap().len()
        };
        let empty = size();
        let job = queued(&agent);
        agent.results.append(&job, vec![agent.begun(&job)]).unwrap();
        let ready = record(record::Record::Event(golo::wire::event(event::Event::Ready(Default::default()))));
        agent.results.append(&job, vec![ready; 20_000]).unwrap();
        agent.end(&job, Ended { state: ended::State::Completed.into(), ..Ended::default() }).await;
        let full = size();
        agent.sweep();
        assert!(job.kept().is_swept && full > empty + (400 << 10), "{full}, and empty it was {empty}");
        assert!(size() <= empty + (64 << 10), "{} is left of {full}, and empty it was {empty}", size());
    }

    #[tokio::test]
    async fn records_that_cannot_be_deleted_are_deleted_by_a_later_sweep() {
        let data = tempfile::tempdir().unwrap();
        let agent = agent(data.path());
        let job = over(&agent).await;
        let other = rusqlite::Connection::open(data.path().join("results.db")).unwrap();
        other
            .execute_batch("CREATE TRIGGER held BEFORE DELETE ON parts BEGIN SELECT RAISE(ABORT, 'held'); END")
            .unwrap();
        agent.sweep();
        assert_eq!(records(&agent, &job).await, Some(2));
        assert!(Kept::read(job.folder()).unwrap().is_swept);
        other.execute_batch("DROP TRIGGER held").unwrap();
        agent.sweep();
        assert_eq!(records(&agent, &job).await, None);
    }
}
