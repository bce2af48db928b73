//! Writes what a job's engine tells to its spool, on a thread of its own: a slow disk keeps no engine waiting.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Instant,
};

use golo_proto::{
    engine::{Event, event},
    results::record,
};
use tokio::sync::oneshot;

use super::{ending::record as now, job::Job, jobs::Agent};

/// The thread that writes, as whoever runs the job holds it.
pub(super) struct Writer {
    events: Sender<Event>,
    /// Why nothing more could be kept, if that was so.
    outcome: oneshot::Receiver<io::Result<()>>,
}

impl Writer {
    /// Starts it for a job.
    pub(super) fn start(agent: Arc<Agent>, job: Arc<Job>) -> io::Result<Self> {
        let (events, come) = channel();
        let (tell, outcome) = oneshot::channel();
        thread::Builder::new().name("golo-spool".to_owned()).spawn(move || {
            let written = write(&agent, &job, &come);
            if written.is_err() {
                // Load whose measurements are lost is load for nothing.
                job.stop_once("what was measured could not be kept");
            }
            // Nobody waits for it where the job has been given up.
            _ = tell.send(written);
        })?;
        Ok(Self { events, outcome })
    }

    /// Where events go.
    pub(super) fn events(&self) -> Sender<Event> {
        self.events.clone()
    }

    /// Waits until everything that came is on disk.
    pub(super) async fn finish(self) -> io::Result<()> {
        drop(self.events);
        self.outcome.await.unwrap_or_else(|_| Err(io::Error::other("the thread that writes has ended")))
    }
}

fn write(agent: &Agent, job: &Job, events: &Receiver<Event>) -> io::Result<()> {
    loop {
        let next = match job.spool.due() {
            Some(due) => events.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(event) => {
                let Some(is_awaited) = is_awaited(&event) else { continue };
                job.spool.append(&now(record::Record::Event(event)), is_awaited)?;
            }
            Err(RecvTimeoutError::Timeout) => job.spool.sync()?,
            Err(RecvTimeoutError::Disconnected) => return job.spool.sync(),
        }
        agent.news.notify_one();
    }
}

/// Whether somebody may wait for an event; nothing of one that is not kept.
fn is_awaited(event: &Event) -> Option<bool> {
    match event.event.as_ref()? {
        event::Event::Accepted(_) | event::Event::Outputs(_) => None,
        event::Event::Adjusted(adjusted) if !adjusted.refused.is_empty() => None,
        event::Event::Second(_) | event::Event::Adjusted(_) => Some(false),
        event::Event::Ready(_) | event::Event::Started(_) | event::Event::Finished(_) => Some(true),
    }
}
