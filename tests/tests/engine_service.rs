//! `golo.engine.v1.Engine`, as served by a load test: it receives a plan and sends snapshots, and ends the load when
//! the client disconnects.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use golo::pb::engine as pb;
use golo::pb::engine::adjust::Level;
use golo::pb::engine::command::Command as What;
use golo::pb::engine::engine_client::EngineClient;
use golo::pb::engine::event::Event as Told;
use golo::pb::engine::load::Model;
use golo::pb::engine::{
    Accepted, Adjust, Command, Cut, Event, Finished, Load, Outputs, Plan, Ready, Start, Stop, Taken,
};
use golo_tests::{Program, Signal, command, connect, context, job, trigger, until, within};
use sample_service::SampleService;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status, Streaming, transport::Channel};

const SECOND: u64 = 1_000_000_000;
/// One start per second, in the unit of the wire: millionths of a start per hour.
const PER_SECOND: u64 = 3_600_000_000;

async fn serve(target: &SampleService) -> Program {
    let mut command = command(env!("CARGO_BIN_EXE_jobs"));
    command.env("TARGET_URL", target.url());
    Program::serve(command).await
}

fn curve(start: u64) -> Option<pb::Curve> {
    Some(pb::Curve { start, stages: Vec::new() })
}

/// Returns a load with a constant rate per second and a duration in seconds.
fn rate(per_second: u64, seconds: u64) -> Load {
    let rate = pb::Open { rate: curve(per_second * PER_SECOND), arrivals: 0, max_users: 1000 };
    Load { model: Some(Model::Open(rate)), duration: Some(seconds * SECOND), graceful_stop: SECOND, ..Load::default() }
}

fn users(users: u64, seconds: u64) -> Load {
    let model = Some(Model::Closed(pb::Closed { users: curve(users), pace: None }));
    Load { model, duration: Some(seconds * SECOND), graceful_stop: SECOND, ..Load::default() }
}

fn plan(load: Load) -> Plan {
    Plan { needs: 1, load: Some(load), job_name: "get".to_owned(), workers: 2, ..Plan::default() }
}

/// A plan that a load test is running.
struct Run {
    commands: UnboundedSender<Command>,
    events: Streaming<Event>,
}

impl Run {
    async fn open(program: &Program, plan: Plan) -> Result<Self, Status> {
        Self::open_with(connect(&program.address).await, What::Plan(plan)).await
    }

    async fn open_with(channel: Channel, first: What) -> Result<Self, Status> {
        let (commands, stream) = unbounded_channel();
        commands.send(Command { command: Some(first) }).unwrap();
        let mut client = EngineClient::new(channel);
        let running = client.run(UnboundedReceiverStream::new(stream));
        Ok(Self { commands, events: within("an answer", running).await?.into_inner() })
    }

    /// Opens a run and starts it.
    async fn start(program: &Program, plan: Plan) -> Self {
        let mut run = Self::open(program, plan).await.unwrap();
        run.until_ready().await;
        run.tell(What::Start(Start { at: 0 }));
        run
    }

    fn tell(&self, what: What) {
        self.commands.send(Command { command: Some(what) }).unwrap();
    }

    async fn next(&mut self) -> Option<Told> {
        let event = within("an event", self.events.message()).await.unwrap()?;
        Some(event.event.unwrap())
    }

    async fn until_ready(&mut self) -> u64 {
        let Some(Told::Accepted(Accepted { revision, version })) = self.next().await else { panic!("not accepted") };
        // The plans of these tests speak the first revision.
        assert_eq!((revision, version.is_empty()), (1, false));
        let Some(Told::Ready(Ready { users })) = self.next().await else { panic!("not ready") };
        users
    }

    /// Reads all events until the end and ignores them.
    async fn end(mut self) {
        while self.next().await.is_some() {}
    }

    /// Reads all events until the end and collects them.
    async fn finish(mut self) -> Ran {
        let mut ran = Ran::default();
        while let Some(told) = self.next().await {
            if let Told::Outputs(outputs) = &told {
                // Fails if the run has already ended.
                let taken = What::Taken(Taken { bytes: outputs.lines.len() as u64 });
                let _ = self.commands.send(Command { command: Some(taken) });
            }
            ran.hear(told);
        }
        ran
    }
}

#[derive(Default)]
struct Ran {
    started: u64,
    seconds: Vec<pb::Second>,
    lines: String,
    adjusted: Vec<pb::Adjusted>,
    finished: Option<Finished>,
}

impl Ran {
    fn hear(&mut self, told: Told) {
        match told {
            Told::Started(started) => self.started = started.at,
            Told::Second(second) => self.seconds.push(second),
            Told::Outputs(Outputs { lines }) => self.lines.push_str(std::str::from_utf8(&lines).unwrap()),
            Told::Finished(finished) => self.finished = Some(finished),
            Told::Adjusted(adjusted) => self.adjusted.push(adjusted),
            Told::Accepted(_) | Told::Planned(_) | Told::Ready(_) | Told::SetUp(_) => panic!("said twice"),
        }
    }

    fn finished(&self) -> &Finished {
        self.finished.as_ref().expect("an end")
    }

    fn snapshots(&self) -> impl Iterator<Item = &pb::Snapshot> {
        self.seconds.iter().map(|second| second.snapshot.as_ref().unwrap()).chain(self.finished().rest.as_ref())
    }

    /// Returns the number of triggers that ended, and of requests.
    fn counts(&self) -> (u64, u64) {
        let requests = |snapshot: &pb::Snapshot| {
            let durations = snapshot.requests.iter().flat_map(|series| &series.durations);
            durations.flat_map(|durations| &durations.counts).sum::<u64>()
        };
        let done = |snapshot: &pb::Snapshot| snapshot.triggers.as_ref().unwrap().done;
        (self.snapshots().map(done).sum(), self.snapshots().map(requests).sum())
    }
}

#[tokio::test]
async fn run_starts_at_the_given_time_and_reports_everything() {
    let target = sample_service::start().unwrap();
    let program = serve(&target).await;
    let mut run = Run::open(&program, Plan { outputs: true, ..plan(rate(200, 2)) }).await.unwrap();
    run.until_ready().await;
    assert_eq!(target.counter().seen, 0);
    let at = SystemTime::now() + Duration::from_millis(300);
    let at = u64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    run.tell(What::Start(Start { at }));
    let ran = run.finish().await;
    assert!(ran.started >= at - 5_000_000, "it began at {}, not at {at}", ran.started);
    assert_eq!((ran.counts(), target.counter().seen), ((400, 400), 400));
    assert_eq!(ran.lines.lines().count(), 400);
    assert!(ran.lines.lines().all(|line| line.parse::<golo::Output>().is_ok()));
    let finished = ran.finished();
    assert_eq!((finished.workers, finished.not_started.as_deref()), (2, None));
    assert_eq!(finished.load.as_ref(), Some(&rate(200, 2)));
    // Afterwards the load test can be triggered as before, and prints its outputs again.
    let channel = connect(&program.address).await;
    assert!(!trigger(&channel, context("get", 1, 1)).await.unwrap().error);
    assert_eq!(program.stop().await.outputs().len(), 1);
}

#[tokio::test]
async fn run_of_a_share_does_its_part_of_the_plan() {
    let target = sample_service::start().unwrap();
    let program = serve(&target).await;
    let share = Some(pb::Share { index: 1, of: 3 });
    let ran = Run::start(&program, Plan { share, ..plan(rate(100, 1)) }).await.finish().await;
    assert_eq!((ran.counts(), target.counter().seen), ((33, 33), 33));
    let load = Load { iterations: Some(20), duration: None, ..users(7, 1) };
    let mut run = Run::open(&program, Plan { share, ..plan(load) }).await.unwrap();
    assert_eq!(run.until_ready().await, 2, "of seven users");
    run.tell(What::Start(Start { at: 0 }));
    assert_eq!(run.finish().await.counts(), (7, 7));
    program.stop().await;
}

#[tokio::test]
async fn adjusted_rate_shows_in_the_snapshots() {
    let target = sample_service::start().unwrap();
    let program = serve(&target).await;
    let mut run = Run::start(&program, plan(rate(20, 5))).await;
    while !matches!(run.next().await, Some(Told::Second(_))) {}
    run.tell(What::Adjust(Adjust { level: Some(Level::Users(9)) }));
    run.tell(What::Adjust(Adjust { level: Some(Level::Rate(300 * PER_SECOND)) }));
    let ran = run.finish().await;
    assert_eq!(ran.adjusted[0].refused, "`9` is in the wrong unit: the plan is a rate, so use a rate, as in 500/s");
    assert_eq!((ran.adjusted[1].refused.as_str(), &ran.adjusted[1].load), ("", &ran.finished().load));
    let due: Vec<_> =
        ran.seconds.iter().map(|second| second.snapshot.as_ref().unwrap().triggers.as_ref().unwrap().due).collect();
    assert!(due.iter().filter(|due| (295..=305).contains(*due)).count() >= 2, "{due:?}");
    // The first second was read before, and is not in `ran`.
    assert_eq!(ran.counts().0 + 20, target.counter().seen);
    program.stop().await;
}

#[tokio::test]
async fn disconnected_client_ends_its_load_and_frees_the_engine() {
    let target = sample_service::start().unwrap();
    let program = serve(&target).await;
    let run = Run::start(&program, plan(users(4, 600))).await;
    until("there is load", || target.counter().seen > 20).await;
    let other = Run::open(&program, plan(users(4, 600))).await.err().unwrap();
    assert_eq!(other.code(), Code::ResourceExhausted);
    assert_eq!(other.message(), "another plan is running; only one runs at a time");
    drop(run);
    within("the end of the load", async {
        while Run::open(&program, plan(rate(1, 1))).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let seen = target.counter().seen;
    // The run opened above was dropped too, before it started.
    let ran = loop {
        match Run::open(&program, plan(rate(30, 1))).await {
            Ok(mut run) => {
                run.until_ready().await;
                run.tell(What::Start(Start { at: 0 }));
                break run.finish().await;
            }
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted),
        }
    };
    assert_eq!((ran.counts().0, target.counter().seen), (30, seen + 30), "nothing came from those that were dropped");
    program.stop().await;
}

#[tokio::test]
async fn run_ends_on_stop_on_cut_and_on_sigterm() {
    let target = sample_service::start().unwrap();
    let program = serve(&target).await;
    for order in [What::Stop(Stop {}), What::Cut(Cut {})] {
        let before = target.counter().seen;
        let run = Run::start(&program, plan(users(4, 600))).await;
        until("there is load", || target.counter().seen > before + 20).await;
        run.tell(order);
        let ran = run.finish().await;
        assert!(ran.finished().load_time < 600 * SECOND && !ran.finished().stopped);
    }
    let before = target.counter().seen;
    let run = Run::start(&program, plan(users(4, 600))).await;
    until("there is load", || target.counter().seen > before + 20).await;
    program.signal(Signal::TERM);
    let ran = run.finish().await;
    assert_eq!(ran.counts().1, target.counter().seen - before, "it told everything");
    assert!(ran.finished().stopped, "somebody else had it stop, and that is told");
    assert_eq!(program.finish().await.code, Some(0));
}

#[tokio::test]
async fn unsupported_or_invalid_plan_is_refused_with_a_reason() {
    let target = sample_service::start().unwrap();
    let program = serve(&target).await;
    let late = Run::open(&program, Plan { needs: 99, ..plan(rate(1, 1)) }).await.err().unwrap();
    assert_eq!(late.code(), Code::FailedPrecondition);
    let said = late.message();
    assert!(said.contains("needs revision 99") && said.contains("build it with a later golo"), "{said}");
    for (plan, expected) in [
        (Plan { load: None, ..plan(rate(1, 1)) }, "the plan has no load"),
        (
            plan(Load { duration: None, ..rate(1, 1) }),
            "a plan without an end: it has neither a duration nor iterations",
        ),
        (plan(users(0, 1)), "a plan without load"),
        (Plan { share: Some(pb::Share { index: 0, of: 0 }), ..plan(rate(1, 1)) }, "the share 0 of 0"),
    ] {
        let status = Run::open(&program, plan).await.err().unwrap();
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, expected));
    }
    let channel = connect(&program.address).await;
    let status = Run::open_with(channel.clone(), What::Stop(Stop {})).await.err().unwrap();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "the first command must be a plan"));
    assert!(!trigger(&channel, job("get")).await.unwrap().error, "it is there as before");
    program.stop().await;
}

#[tokio::test]
async fn unacknowledged_outputs_do_not_delay_seconds_or_the_end() {
    let target = sample_service::start().unwrap();
    let program = serve(&target).await;
    let load = Load { graceful_stop: SECOND / 2, ..users(4, 600) };
    for order in [Some(What::Stop(Stop {})), Some(What::Cut(Cut {})), None] {
        let plan = Plan { job_name: "flood".to_owned(), outputs: true, ..plan(load.clone()) };
        let mut run = Run::start(&program, plan).await;
        let mut ran = Ran::default();
        let done = |ran: &Ran| ran.seconds.last().map(|second| second.snapshot.as_ref().unwrap().requests.is_empty());
        // Wait until all triggers are blocked by the unread outputs. Seconds must still arrive.
        while !ran.seconds.iter().any(|second| second.elapsed > 3 * SECOND) || done(&ran) != Some(true) {
            ran.hear(run.next().await.unwrap());
        }
        assert!(!ran.lines.is_empty() && ran.lines.len() < 1 << 20, "{} bytes", ran.lines.len());
        match order {
            Some(order) => run.tell(order),
            None => program.signal(Signal::TERM),
        }
        while let Some(told) = run.next().await {
            ran.hear(told);
        }
        let (lines, lost) = (ran.lines.lines().count() as u64, ran.finished().outputs_lost);
        assert_eq!(ran.counts().1, lines + lost, "{lost} were lost");
        assert!(lost > lines, "{lost} of {lines}");
    }
    assert_eq!(program.finish().await.code, Some(0));
}

#[tokio::test]
async fn latest_common_revision_is_used() {
    let target = sample_service::start().unwrap();
    let program = serve(&target).await;
    for (speaks, spoken) in [(0, 1), (1, 1), (99, pb::REVISION)] {
        let mut run = Run::open(&program, Plan { speaks, ..plan(rate(1, 1)) }).await.unwrap();
        let Some(Told::Accepted(accepted)) = run.next().await else { panic!("not accepted") };
        assert_eq!(accepted.revision, spoken);
        run.tell(What::Cut(Cut {}));
        run.end().await;
    }
    program.stop().await;
}
