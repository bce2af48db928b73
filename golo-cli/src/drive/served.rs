//! A load test in another process: starts it under the supervisor, sends it the plan or triggers it over `golo.Job`,
//! and reads its lines.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use golo::Error;
use golo::cli::{Proxy, RunCall, not_started, say, torn_down, without_secrets};
use golo::engine::plan::Plan;
use golo::engine::share::Share;
use golo::engine::standstill::Pause;
use golo::engine::{Engine, Options, Sinks};
use golo::report::Threshold;
use golo::run_loop::{Driver, EngineHandle, LocalEngine};
use tokio::process::ChildStdout;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::drive::engine_client::{AskedOfLoadTest, EngineClient, Opened, PlanCheck};
use crate::drive::job_client::{Address, ServedJob};
use crate::drive::journeys::OpenJourneys;
use crate::drive::line_reader::{Lines, Reader};
use crate::drive::setup_exchange::SetupExchange;
use crate::drive::socket_folder::SocketFolder;
use crate::process::limits::LimitArgs;
use crate::process::load_test::LoadTest;
use crate::process::port_owner;
use crate::process::supervisor::{Ended, Program, Supervised, Supervisor};

/// Engine that runs the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DriveBy {
    /// The load test's own engine.
    Plan,
    /// The engine of this process, with a call for each trigger.
    Trigger,
}

/// Longest time until a load test answers after its start.
const START: Duration = Duration::from_secs(30);
/// Longest time to connect on this machine.
const CONNECT: Duration = Duration::from_secs(1);
/// Interval between attempts.
const TRY: Duration = Duration::from_millis(10);
/// No further line comes after this silence: a load test keeps a line back for 100 ms at most.
const QUIET: Duration = Duration::from_millis(200);
/// Signal that asks a load test to stop.
const SIGTERM: i32 = 15;
/// After a call broke off, longest time to wait for the load test's end, which is the better reason.
const REASON: Duration = Duration::from_secs(1);
/// Longest time to wait for lines at the end.
const LINES: Duration = Duration::from_secs(10);

/// A load test that `golo` runs in a process of its own.
pub struct Served {
    load_test: LoadTest,
    /// Working directory of the load test, if it is not that of this process.
    working_directory: Option<PathBuf>,
    environment: Vec<(String, String)>,
    /// Description of the proxy that the load test was told to use.
    proxy: Option<String>,
    /// Flags of the transport that are set, other than the proxy.
    transport: Vec<&'static str>,
    grace: Duration,
    asked: AskedOfLoadTest,
    limits: LimitArgs,
    share: Share,
    has_warm_up: bool,
    runtime: Handle,
    child: Option<Supervised>,
    reader: Option<JoinHandle<()>>,
    lines: Arc<Lines>,
    journeys: Arc<OpenJourneys>,
    /// Folder of the socket.
    folder: Option<SocketFolder>,
    /// Address of the load test, once it has answered.
    address: Option<Address>,
    /// Set once the end of the process was reported.
    is_end_reported: bool,
    /// Requested engine, if any.
    drive: Option<DriveBy>,
    /// True if the load test's own engine runs the plan.
    runs_plans: bool,
    /// True if lines were still coming when the run stopped waiting for them.
    is_missing_lines: bool,
    on_stderr: Arc<OnLine>,
}

/// Function that handles a line of stderr.
type OnLine = dyn Fn(&str) + Send + Sync;

impl Served {
    /// Creates a load test with the settings of `call` and these parameters.
    #[must_use]
    pub fn new(load_test: LoadTest, params: Vec<(String, String)>, call: &RunCall, runtime: Handle) -> Self {
        let mut environment = call.params().to_vec();
        environment.retain(|(key, _)| std::env::var_os(key).is_none());
        environment.extend(params);
        // golo decides the load test's address and its end.
        environment.push(("GOLO_QUIET".to_owned(), "1".to_owned()));
        environment.extend(call.transport().variables());
        let proxy = &call.transport().proxy;
        let proxy = (*proxy != Proxy::None).then(|| proxy.to_string());
        let mut transport = call.transport().flags();
        transport.retain(|flag| *flag != "proxy");
        Self {
            load_test,
            working_directory: None,
            proxy,
            transport,
            environment,
            grace: call.plan().graceful_stop(),
            asked: AskedOfLoadTest { scenarios: call.scenarios().clone(), check: None, exchange: None },
            limits: LimitArgs::default(),
            share: Share::WHOLE,
            has_warm_up: !call.plan().warm_up().is_zero(),
            runtime,
            child: None,
            reader: None,
            lines: Arc::default(),
            journeys: Arc::default(),
            folder: None,
            address: None,
            is_end_reported: false,
            drive: None,
            runs_plans: false,
            is_missing_lines: false,
            on_stderr: Arc::new(|line| say(line)),
        }
    }

    /// Passes each line of the load test's stderr to `on_line` instead of printing it.
    #[must_use]
    pub fn on_stderr(mut self, on_line: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_stderr = Arc::new(on_line);
        self
    }

    /// Returns the last lines of the load test's stderr.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.child.as_ref().map_or_else(String::new, Supervised::stderr)
    }

    /// Sets the working directory of the load test.
    #[must_use]
    pub fn in_folder(self, folder: Option<PathBuf>) -> Self {
        Self { working_directory: folder, ..self }
    }

    /// Sets resource limits.
    #[must_use]
    pub fn limited(self, limits: LimitArgs) -> Self {
        Self { limits, ..self }
    }

    /// Sets the share of one member of a run. The load test learns it before its `setup` runs.
    #[must_use]
    pub fn sharing(self, share: Share) -> Self {
        Self { share, ..self }
    }

    /// Sets the exchange of the value of `setup` with the other members of a run.
    #[must_use]
    pub fn exchanging(mut self, exchange: Arc<SetupExchange>) -> Self {
        self.asked.exchange = Some(exchange);
        self
    }

    /// Sets a check of the plan that the load test has completed with its scenarios.
    #[must_use]
    pub fn checking_plan(mut self, check: Option<PlanCheck>) -> Self {
        self.asked.check = check;
        self
    }

    /// Sets the engine that runs the plan.
    #[must_use]
    pub fn driven_by(self, drive: Option<DriveBy>) -> Self {
        Self { drive, ..self }
    }

    /// Starts the process and returns the address at which it answers.
    async fn launch(&mut self, sinks: &Sinks) -> Result<Address, Error> {
        let folder = SocketFolder::create().map_err(|error| {
            not_started("could not create a folder for the socket of the load test", Some(error.into()))
        })?;
        let (socket, scratch) = (folder.socket(), Some(folder.path().to_owned()));
        self.folder = Some(folder);
        let mut environment: Vec<_> = self.environment.iter().map(|(key, value)| (key.into(), value.into())).collect();
        environment.push(("GOLO_ADDR".into(), format!("unix:{}", socket.display()).into()));
        environment.push(("GOLO_SHARE".into(), format!("{}/{}", self.share.index(), self.share.of()).into()));
        let folder = self.working_directory.clone();
        let program =
            Program { path: self.load_test.path.clone(), arguments: Vec::new(), environment, folder, scratch };
        let limits = self.limits.with_grace(self.grace);
        let on_stderr = Arc::clone(&self.on_stderr);
        let supervisor = Supervisor::default().adopting().on_stderr(move |line| on_stderr(line));
        let mut child = supervisor
            .start(&program, &limits)
            .await
            .map_err(|error| not_started("the load test could not be started", Some(error.into())))?;
        let journeys = Arc::clone(&self.journeys);
        let reader = Reader::new(&self.load_test.name, sinks, self.has_warm_up, journeys, self.runtime.clone());
        self.lines = reader.lines();
        let stdout = child.take_stdout().map(ChildStdout::into_owned_fd).transpose();
        if let Some(stdout) =
            stdout.map_err(|error| not_started("could not read the stdout of the load test", Some(error.into())))?
        {
            let reading = reader.start(std::fs::File::from(stdout));
            self.reader = Some(reading.map_err(|error| {
                not_started("could not start a thread for the stdout of the load test", Some(error.into()))
            })?);
        }
        let child = self.child.insert(child);
        tokio::select! {
            address = answering(socket, child.id()) => Ok(address),
            ended = child.ended() => {
                self.is_end_reported = true;
                Err(not_started(format!("the load test ended before it was ready: {ended}{}", last_line(child)), None))
            }
            () = sleep(START) => {
                let text = format!(
                    "the load test did not answer within {} s, neither on GOLO_ADDR nor on {}",
                    START.as_secs(),
                    golo::RPC_ADDR
                );
                Err(not_started(text, None))
            }
        }
    }
}

/// Returns the address of load tests that do not support `GOLO_ADDR`.
fn usual_address() -> SocketAddr {
    // A test checks that the constant is a valid address.
    golo::RPC_ADDR.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 9999)))
}

/// Returns true if no process listens at [`RPC_ADDR`](golo::RPC_ADDR). Such a process could be mistaken for the load
/// test.
#[must_use]
pub fn is_free() -> bool {
    TcpStream::connect_timeout(&usual_address(), CONNECT).is_err()
}

/// Waits until the load test answers, and returns its address. `group` is the process group of the load test.
async fn answering(socket: PathBuf, group: u32) -> Address {
    let (socket, tcp) = (Address::Socket(socket), Address::Tcp(golo::RPC_ADDR.to_owned()));
    loop {
        if socket.answers().await {
            return socket;
        }
        // Another process may have taken the port meanwhile.
        if tcp.answers().await && port_owner::listens(group, &usual_address()) {
            return tcp;
        }
        sleep(TRY).await;
    }
}

impl Driver for Served {
    fn name(&self) -> &str {
        &self.load_test.name
    }

    fn set_up_in_words(&self) -> &'static str {
        "waiting for the load test"
    }

    fn tear_down_in_words(&self) -> &'static str {
        "the end of the load test"
    }

    async fn set_up(&mut self, sinks: &Sinks, is_cut: oneshot::Receiver<()>) -> Result<bool, Error> {
        self.address = tokio::select! {
            biased;
            _ = is_cut => None,
            address = self.launch(sinks) => Some(address?),
        };
        Ok(self.address.is_some())
    }

    async fn start(&mut self, plan: &Plan, options: &Options, sinks: Sinks) -> Result<Box<dyn EngineHandle>, Error> {
        let address = self.address.clone().ok_or_else(|| not_started("the load test is not ready", None))?;
        if self.drive != Some(DriveBy::Trigger) {
            let is_asked = self.drive == Some(DriveBy::Plan);
            match self.open(&address, plan, options, &sinks).await? {
                Opened::Runs(engine) => {
                    self.runs_plans = true;
                    return Ok(engine);
                }
                Opened::RunsNone if is_asked => {
                    return Err(not_started("the load test cannot run plans: it does not serve golo.engine.v1", None));
                }
                Opened::Nothing if is_asked => {
                    return Err(not_started("the load test did not answer whether it runs plans", None));
                }
                Opened::RunsNone => self.warn_of_transport(),
                Opened::Nothing => say("golo: the load test did not answer whether it runs plans, so golo triggers it"),
            }
        }
        let plan = self.plan_by_trigger(plan)?;
        let job = ServedJob::new(address, Arc::clone(&self.journeys));
        let trigger = Arc::new(job.measured_by_tags(Arc::clone(&sinks.measured)));
        let engine = Engine::start(trigger, plan.clone(), options.clone(), sinks);
        // Only the load test knows which proxy its requests used.
        let asked =
            |proxy: &String| format!("{proxy} was requested; a load test that is not built with golo ignores it");
        let proxies: Vec<_> = self.proxy.iter().map(asked).collect();
        let engine = engine.map_err(|error| not_started("the workers could not be started", Some(error.into())))?;
        let engine = LocalEngine::new(engine).with_proxies(proxies);
        if plan.scenarios().next().is_none() {
            return Ok(Box::new(engine));
        }
        let thresholds = self.thresholds_of_scenarios(&plan)?;
        Ok(Box::new(engine.planned(plan, thresholds)))
    }

    async fn died(&mut self) -> String {
        match &mut self.child {
            Some(child) => {
                let ended = child.ended().await;
                self.is_end_reported = true;
                ended.to_string()
            }
            None => std::future::pending().await,
        }
    }

    async fn settle(&mut self) {
        if self.runs_plans {
            // Its engine has reported everything.
            if let Some(exchange) = &self.asked.exchange {
                exchange.may_tear_down(self.grace).await;
            }
            return;
        }
        // A reader of raw outputs has the grace period to read them.
        let grace = self.grace.clamp(Duration::from_secs(1), LINES);
        self.wait_for_lines(grace, |lines, since| since.elapsed() < QUIET || lines.is_waiting()).await;
        self.lines.hurry();
        // The load test writes its last lines when it is asked to stop.
        if let Some(child) = &mut self.child {
            child.stop().await;
        }
        // Another process may hold the stdout open and write nothing.
        self.is_missing_lines = !self.wait_for_lines(LINES, |_, since| since.elapsed() < QUIET).await;
        if self.is_missing_lines {
            say(format_args!("golo: output lines of the load test still arrive {} s after its end", LINES.as_secs()));
        }
    }

    fn missing(&self) -> Option<String> {
        let read = self.lines.outputs();
        self.is_missing_lines
            .then(|| format!("requests are missing: {read} were read in time, and more were still arriving"))
    }

    fn pauses(&self) -> Vec<Pause> {
        self.child.as_ref().map(Supervised::pauses).unwrap_or_default()
    }

    async fn tear_down(&mut self) -> Result<(), Error> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let ended = child.stop().await;
        match ended {
            // Reported already, as the reason for the end of the run.
            _ if self.is_end_reported => Ok(()),
            // A failing `teardown` does this, and prints its error to stderr.
            Ended::Exited(1..) if self.runs_plans => Err(torn_down(format!("at the end, {ended}"))),
            Ended::Exited(0) | Ended::Signalled(SIGTERM) => Ok(()),
            _ => {
                say(format_args!("golo: at the end, {ended}"));
                Ok(())
            }
        }
    }

    async fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().await;
        }
    }
}

impl Served {
    /// Returns the plan of a load test that is called for each trigger. Its scenarios are those that the run names.
    fn plan_by_trigger(&self, plan: &Plan) -> Result<Plan, Error> {
        let refused = |reason: String| not_started(reason, None);
        let load = plan.loads().first().ok_or_else(|| refused("the plan has no load".to_owned()))?;
        let plan = self.asked.scenarios.plan(load, &[], true).map_err(|error| refused(error.to_string()))?;
        match self.asked.check.as_ref().map(|check| check(&plan)) {
            Some(Err(reason)) => Err(refused(reason)),
            _ => Ok(plan),
        }
    }

    /// Returns the thresholds that the run sets for scenarios of this plan.
    fn thresholds_of_scenarios(&self, plan: &Plan) -> Result<Vec<String>, Error> {
        let thresholds = self.asked.scenarios.thresholds();
        let planned = thresholds.filter(|(name, _)| plan.scenarios().any(|known| **known == **name));
        let of_scenario = |(name, text): (&str, &str)| match Threshold::of_scenario_text(name, text) {
            Ok(threshold) => Ok(threshold.to_string()),
            Err(error) => Err(not_started(format!("in the scenario `{name}`: threshold `{text}`: {error}"), None)),
        };
        planned.map(of_scenario).collect()
    }

    /// Prints which flags a load test that is not built with golo may ignore. The summary reports the proxy.
    fn warn_of_transport(&self) {
        if !self.transport.is_empty() {
            let flags: Vec<_> = self.transport.iter().map(|flag| format!("`--{flag}`")).collect();
            let flags = flags.join(", ");
            say(format_args!("golo: a load test that is not built with golo ignores {flags}"));
        }
    }

    /// Asks the load test to run the plan itself. If the process ends meanwhile, reports that instead of the failed
    /// call.
    async fn open(
        &mut self,
        address: &Address,
        plan: &Plan,
        options: &Options,
        sinks: &Sinks,
    ) -> Result<Opened, Error> {
        let asked = self.asked.clone();
        let opening = EngineClient::open(address, plan, options, &asked, sinks);
        let Some(child) = &mut self.child else { return opening.await };
        let ended = tokio::select! {
            opened = opening => match opened {
                Err(error) => timeout(REASON, child.ended()).await.map_err(|_| error)?,
                opened => return opened,
            },
            ended = child.ended() => ended,
        };
        self.is_end_reported = true;
        Err(not_started(format!("the load test ended before the plan started: {ended}{}", last_line(child)), None))
    }

    /// Waits for more lines while `is_so` returns true for the time of the last line. Returns false if it still does
    /// after `time` and the stream has not ended.
    async fn wait_for_lines(&self, time: Duration, is_so: impl Fn(&Lines, Instant) -> bool) -> bool {
        let (mut before, mut since) = (self.lines.outputs(), Instant::now());
        let until = since + time;
        while !self.has_ended() && is_so(&self.lines, since) {
            if Instant::now() >= until {
                return false;
            }
            sleep(TRY).await;
            let now = self.lines.outputs();
            if now != before {
                (before, since) = (now, Instant::now());
            }
        }
        true
    }

    /// Returns true if there are no more lines.
    fn has_ended(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// Returns the last line of stderr, as the end of a message.
fn last_line(child: &Supervised) -> String {
    let stderr = child.stderr();
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or_else(String::new, |line| format!("; last line of stderr: {}", without_secrets(line)))
}
