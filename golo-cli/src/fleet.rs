//! Agents that run one plan together, for `golo submit`.
//!
//! [`Fleet`] prepares them: each gets the load test and a job with its share, and starts its users. It then makes a
//! [`Delivery`], which is the engine of the run. A fleet can also leave the run to its agents ([`Fleet::detach`]), and
//! another one joins the run later ([`Fleet::attach`]).
//!
#![doc = include_str!("../docs/running-a-fleet.md")]

pub mod agent;
pub mod builds;
pub mod carrier;
pub mod clock;
pub mod delivery;
mod detaching;
pub mod follow;
pub mod found;
mod handover;
mod orders;
pub mod part;
mod patience;
mod renewal;
pub mod selection;
pub mod standstill;
mod start;
pub mod upload;

use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use golo::Error;
use golo::cli::{DataFile, not_started, say, torn_down};
use golo::engine::plan::Plan;
use golo::engine::share::Share;
use golo::engine::{Options, Sinks};
use golo::pb::engine::event::Event;
use golo::pb::results::Record;
use golo::pb::results::record::Record as Kind;
use golo::run_loop::{Driver, EngineHandle};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::agent::uploads::Content;
use crate::drive::run_end::{RunEnd, printable_reason};
use crate::http::client::CallError;
use crate::results::keep::Keeper;
use crate::support::failure::Failure;
use crate::support::moments;
use agent::Agent;
use builds::Builds;
use delivery::{Delivery, FleetChannels, Joined, MemberEvents, print_stderr};
use follow::{MemberEvent, follow};
use found::FoundRun;
use handover::hand_over_setup;
use orders::OrderState;
use part::Part;
use patience::patiently;
use renewal::renew;
use standstill::Standstill;
use upload::{Needed, upload};

/// Longest time to wait for the last records of agents.
const LAST: Duration = Duration::from_secs(2);
/// Capacity of the channel of records.
const RECORDS: usize = 64;

/// Reaction of a run to the loss of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnAgentLoss {
    /// Stop everything and report that the run died
    Fail,
    /// Continue with the shares of the other agents; the run is invalid
    Continue,
}

/// Settings of a fleet's run.
#[derive(Debug)]
pub struct FleetSettings {
    /// ID of the run.
    pub run: String,
    /// Name of the load test.
    pub name: String,
    /// Reaction to the loss of an agent.
    pub on_loss: OnAgentLoss,
    /// Lease of the jobs: time without a sign of life from this process after which an agent stops its load.
    pub lease: Duration,
    /// True if only problems are printed.
    pub is_quiet: bool,
    /// Stores what each agent measures, if that is wanted.
    pub keeper: Option<Keeper>,
}

/// An agent that is to take part in a run.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its client.
    pub agent: Agent,
    /// Its platform, such as `linux-amd64`, if it is known.
    pub platform: Option<String>,
    /// True if it has registered itself, so that it is there even if it does not answer at once.
    pub is_registered: bool,
}

/// Jobs to queue.
#[derive(Debug)]
pub struct NewJobs {
    /// The load test.
    pub builds: Builds,
    /// Files that the load test reads.
    pub data: Vec<DataFile>,
    /// Keys of the job that are the same for all agents, without the load test and the files.
    pub job: Map<String, Value>,
}

/// Origin of a fleet's jobs.
enum Origin {
    /// They are queued by this process.
    Queued(NewJobs),
    /// They were there before.
    Found(Joined),
}

/// Agents that run one plan together.
pub struct Fleet {
    settings: FleetSettings,
    origin: Origin,
    parts: Vec<Arc<Part>>,
    /// Channel of the agents' events, until a delivery takes it.
    events: Option<(MemberEvents, mpsc::Sender<(usize, MemberEvent)>)>,
    following: JoinSet<()>,
    /// Tasks that renew the leases of the jobs.
    renewing: JoinSet<()>,
    standstill: Arc<Standstill>,
    /// Plans that the parts' load tests have completed, each with the number of its part.
    planned: Vec<(usize, Event)>,
    /// Orders to the parts, with the reasons for the end of the run.
    orders: watch::Sender<OrderState>,
    torn_down: watch::Sender<Vec<String>>,
}

impl Fleet {
    /// Creates a fleet of these agents. They get their shares in this order.
    #[must_use]
    pub fn new(settings: FleetSettings, jobs: NewJobs, agents: Vec<Member>) -> Self {
        let shares = Share::WHOLE.split(agents.len() as u64);
        let standstill = Arc::<Standstill>::default();
        let part = |(member, share)| Arc::new(Part::new(member, share, settings.run.clone(), Arc::clone(&standstill)));
        let parts = agents.into_iter().zip(shares).map(part).collect();
        Self::of_parts(settings, Origin::Queued(jobs), parts, standstill)
    }

    /// Creates the fleet of a run that was started before.
    #[must_use]
    pub fn attach(settings: FleetSettings, found: FoundRun) -> Self {
        Self::of_parts(settings, Origin::Found(found.joined), found.parts, found.standstill)
    }

    fn of_parts(settings: FleetSettings, origin: Origin, parts: Vec<Arc<Part>>, standstill: Arc<Standstill>) -> Self {
        Self {
            settings,
            origin,
            parts,
            events: None,
            following: JoinSet::new(),
            renewing: JoinSet::new(),
            standstill,
            planned: Vec::new(),
            orders: watch::Sender::default(),
            torn_down: watch::Sender::default(),
        }
    }

    fn say(&self, text: impl Display) {
        if !self.settings.is_quiet {
            say(format_args!("{}: {text}", self.settings.name));
        }
    }

    /// Returns the parts.
    fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }

    /// Renews the leases from now on. Gets the agents ready if their jobs are not there yet, and follows their records.
    async fn prepare(&mut self) -> Result<(), Failure> {
        let standstill = Arc::clone(&self.standstill);
        self.renewing.spawn(async move { standstill.watch().await });
        for part in &self.parts {
            self.renewing.spawn(renew(Arc::clone(part), self.settings.lease));
        }
        let Origin::Queued(jobs) = &self.origin else {
            self.events = Some(self.follow());
            return Ok(());
        };
        each(&self.parts, |part| async move { part.check().await }).await?;
        let is_quiet = self.settings.is_quiet;
        let builds = self.bring(&jobs.builds).await?;
        let mut data = Map::new();
        for file in &jobs.data {
            let (name, path) = (file.to_string(), file.name().into());
            let hash = upload(&self.parts, &Needed { content: Content::Data, name, path }, is_quiet).await?;
            data.insert(file.to_string(), hash.into());
        }
        self.queue(jobs.job.clone(), builds, data).await?;
        self.check_agents().await?;
        self.wait_until_ready().await
    }

    /// Records that this process gives the run up before its load has started or was left to the agents, because it has died
    /// for this reason, or else was stopped.
    pub fn give_up(&self, died: Option<&str>) {
        let stopped = || RunEnd { stopped: Some(Duration::ZERO), ..RunEnd::default() };
        let run = died.map_or_else(stopped, |reason| RunEnd::died(reason, None));
        self.orders.send_modify(|orders| orders.run.add(&run));
    }

    /// Queues the jobs of all parts. `builds` are the keys of their load tests.
    async fn queue(
        &self,
        mut job: Map<String, Value>,
        builds: Vec<Map<String, Value>>,
        data: Map<String, Value>,
    ) -> Result<(), Failure> {
        job.insert("lease".to_owned(), self.settings.lease.as_secs_f64().into());
        if !data.is_empty() {
            job.insert("data".to_owned(), data.into());
        }
        let builds: Vec<_> = self.parts.iter().zip(builds).collect();
        let queueing = |part: Arc<Part>| {
            let own = builds.iter().find(|(other, _)| Arc::ptr_eq(other, &part)).map(|(_, keys)| keys.clone());
            let job: Map<_, _> = job.clone().into_iter().chain(own.unwrap_or_default()).collect();
            // Runs to its end even if it is not awaited any more, so that the outcome of the request is recorded.
            let asking = tokio::spawn(async move { part.queue(&job).await });
            async move { asking.await.unwrap_or_else(|error| Err(CallError::Away(error.to_string()))) }
        };
        each(&self.parts, queueing).await.map(drop)
    }

    /// Reports jobs that are queued before this run's. Returns an error if two addresses lead to the same agent.
    async fn check_agents(&self) -> Result<(), Failure> {
        let listing = |part: Arc<Part>| async move { patiently(&part.standstill, || part.agent.jobs()).await };
        let lists = each(&self.parts, listing).await?;
        for (part, jobs) in self.parts.iter().zip(lists) {
            let own: Vec<_> = jobs.iter().filter(|job| job.run == part.run).map(|job| &*job.agent).collect();
            if let [one, other, ..] = own[..] {
                return Err(format!("{one} and {other} are the same agent: give each agent once").into());
            }
            match jobs.iter().filter(|job| job.run != part.run && !job.is_over()).count() {
                0 => {}
                1 => self.say(format_args!("waiting for {}, which has a job before this one", part.name)),
                many => self.say(format_args!("waiting for {}, which has {many} jobs before this one", part.name)),
            }
        }
        Ok(())
    }

    /// Starts to follow the records of all agents. Returns the channel of their events.
    fn follow(&mut self) -> (MemberEvents, mpsc::Sender<(usize, MemberEvent)>) {
        let (event_sender, events) = mpsc::channel(RECORDS);
        for (index, part) in self.parts.iter().enumerate() {
            self.following.spawn(follow(index, Arc::clone(part), event_sender.clone(), self.settings.keeper.clone()));
        }
        (events, event_sender)
    }

    /// Starts to follow all agents, and waits until all are ready.
    async fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let (mut events, event_sender) = self.follow();
        let mut waiting: Vec<usize> = (0..self.parts.len()).collect();
        let mut handing_over = pin!(hand_over_setup(&self.parts));
        let mut is_handed_over = false;
        while !waiting.is_empty() {
            let received = tokio::select! {
                received = events.recv() => received,
                handed_over = &mut handing_over, if !is_handed_over => {
                    is_handed_over = true;
                    handed_over?;
                    continue;
                }
            };
            let Some((index, event)) = received else {
                return Err("no records of the agents arrive any more".into());
            };
            let name = &self.parts[index].name;
            let record = match event {
                MemberEvent::Lost(reason) => return Err(format!("the agent {name}: {reason}").into()),
                MemberEvent::Record(record) => record.record,
            };
            match record {
                Some(Kind::Event(event)) => match event.event {
                    Some(Event::Ready(_)) => waiting.retain(|other| *other != index),
                    Some(planned @ Event::Planned(_)) => self.planned.push((index, planned)),
                    _ => {}
                },
                Some(Kind::Ended(ended)) => {
                    if ended.lease_over {
                        if let Some(why) = self.standstill.end_of_leases(self.settings.lease) {
                            say(format_args!("{}: {why}", self.settings.name));
                        }
                        return Err(printable_reason(&ended.reason).into());
                    }
                    print_stderr(&self.settings.name, name, &ended.stderr);
                    let others: Vec<_> = waiting.iter().filter(|other| **other != index).collect();
                    let meanwhile = match others[..] {
                        [] => String::new(),
                        [other] => format!(", while the run waited for {}", self.parts[*other].name),
                        _ => format!(", while the run waited for {} others", others.len()),
                    };
                    return Err(format!("the agent {name}: {}{meanwhile}", printable_reason(&ended.reason)).into());
                }
                Some(Kind::Begun(_)) | None => {}
            }
        }
        self.events = Some((events, event_sender));
        Ok(())
    }

    /// Starts the load, or joins the run that has it.
    fn deliver(&mut self, plan: Plan, options: Options) -> Result<Delivery, Error> {
        let (events, event_sender) = self.events.take().ok_or_else(|| not_started("the agents are not ready", None))?;
        let (torn_down, orders) = (self.torn_down.clone(), self.orders.clone());
        let standstill = Arc::clone(&self.standstill);
        let channels = FleetChannels { events, event_sender, torn_down, orders, standstill };
        let asked = (plan, options);
        let mut delivery = match &self.origin {
            Origin::Queued(_) => Delivery::start(&self.settings, &self.parts, asked, channels),
            Origin::Found(joined) => Delivery::join(&self.settings, &self.parts, asked, channels, joined.clone()),
        };
        for (index, planned) in self.planned.drain(..) {
            delivery.planned(index, &planned);
        }
        Ok(delivery)
    }
}

impl Driver for Fleet {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn set_up_in_words(&self) -> &'static str {
        "getting the agents ready"
    }

    fn tear_down_in_words(&self) -> &'static str {
        "the end of the agents' jobs"
    }

    async fn set_up(&mut self, _: &Sinks, is_cut: oneshot::Receiver<()>) -> Result<bool, Error> {
        let prepared = tokio::select! {
            biased;
            _ = is_cut => None,
            prepared = self.prepare() => Some(prepared),
        };
        match prepared {
            Some(Ok(())) => Ok(true),
            Some(Err(failure)) => {
                let reason = failure.to_string();
                self.give_up(Some(&reason));
                Err(not_started(reason, None))
            }
            None => {
                self.give_up(None);
                Ok(false)
            }
        }
    }

    async fn start(&mut self, plan: &Plan, options: &Options, _: Sinks) -> Result<Box<dyn EngineHandle>, Error> {
        Ok(Box::new(self.deliver(plan.clone(), options.clone())?))
    }

    async fn died(&mut self) -> String {
        let mut orders = self.orders.subscribe();
        match orders.wait_for(|orders| orders.run.died.is_some()).await.map(|orders| orders.run.died.clone()) {
            Ok(Some(death)) => death.reason,
            _ => std::future::pending().await,
        }
    }

    fn is_generator(&self) -> bool {
        // The agents deliver the load, also while this process stands still.
        false
    }

    async fn tear_down(&mut self) -> Result<(), Error> {
        let run = self.orders.borrow().run.clone();
        let withdrawn = join(self.parts.iter().map(|part| {
            let (part, run) = (Arc::clone(part), run.clone());
            async move { part.withdraw(&run).await }
        }))
        .await;
        // The last records of withdrawn parts are stored as well.
        let followed = async { while self.following.join_next().await.is_some() {} };
        _ = timeout(LAST, followed).await;
        self.following.shutdown().await;
        self.renewing.shutdown().await;
        for (index, part) in self.parts.iter().enumerate() {
            if let (Some(keeper), Some(ended)) = (&self.settings.keeper, part.missing_end(&run)) {
                keeper.keep(index, Record { at: moments::now(), record: Some(Kind::Ended(ended)) });
            }
        }
        let mut troubles = self.torn_down.borrow().clone();
        for reason in withdrawn.into_iter().filter_map(Result::err) {
            // The loss of an agent has been reported already, and the agent may be dead.
            self.say(reason);
        }
        troubles.dedup();
        if troubles.is_empty() { Ok(()) } else { Err(torn_down(troubles.join("; "))) }
    }
}

/// Runs the futures concurrently, and returns their results in the given order.
async fn join<T: Send + 'static>(futures: impl Iterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    let mut running = JoinSet::new();
    let mut count = 0;
    for (index, future) in futures.enumerate() {
        running.spawn(async move { (index, future.await) });
        count = index + 1;
    }
    let mut all: Vec<Option<T>> = std::iter::repeat_with(|| None).take(count).collect();
    while let Some(joined) = running.join_next().await {
        match joined {
            Ok((index, value)) => all[index] = Some(value),
            // A panic in a task continues in the caller, as without a task.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }
    all.into_iter().flatten().collect()
}

/// Calls `what` for all parts concurrently, and returns the results in their order.
async fn each_result<T, F>(parts: &[Arc<Part>], what: impl Fn(Arc<Part>) -> F) -> Vec<Result<T, CallError>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, CallError>> + Send + 'static,
{
    join(parts.iter().map(|part| what(Arc::clone(part)))).await
}

/// Calls `what` for all parts concurrently, and returns their values.
///
/// # Errors
///
/// Returns an error that names all failed agents, each with its reason.
async fn each<T, F>(parts: &[Arc<Part>], what: impl Fn(Arc<Part>) -> F) -> Result<Vec<T>, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, CallError>> + Send + 'static,
{
    let results = each_result(parts, what).await;
    let mut failed = Vec::new();
    let mut all = Vec::new();
    for (part, result) in parts.iter().zip(results) {
        match result {
            Ok(value) => all.push(value),
            Err(error) => failed.push((&*part.name, error.to_string())),
        }
    }
    if failed.is_empty() { Ok(all) } else { Err(describe_failures(&failed).into()) }
}

/// Lists agents by reason, so that each reason occurs once.
fn describe_failures(failed: &[(&str, String)]) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, reason) in failed {
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, names)) => names.push(name),
            None => reasons.push((reason, vec![name])),
        }
    }
    let described = reasons.iter().map(|(reason, names)| match &names[..] {
        [name] => format!("the agent {name}: {reason}"),
        names => format!("each of the agents {}: {reason}", names.join(", ")),
    });
    described.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_reason_of_several_agents_is_listed_once() {
        let failed = [("a:1", "it is full"), ("b:1", "it is gone"), ("c:1", "it is full")];
        let failed = failed.map(|(name, reason)| (name, reason.to_owned()));
        assert_eq!(describe_failures(&failed), "each of the agents a:1, c:1: it is full; the agent b:1: it is gone");
    }
}
