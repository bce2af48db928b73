//! A load test in another process: started under the supervisor, handed the plan or triggered over `golo.Job`, read line by
//! line.

use std::{
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use golo::{
    Error,
    cli::{Proxy, RunCall, not_started, say, torn_down, without_secrets},
    engine::{Engine, Options, Sinks, plan::Plan, share::Share},
    run_loop::{Driver, EngineHandle, LocalEngine},
};
use tempfile::TempDir;
use tokio::{
    process::ChildStdout,
    runtime::Handle,
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::{
    drive::{
        engine_client::{EngineClient, Opened},
        job_client::{Address, ServedJob},
        journeys::OpenJourneys,
        line_reader::{Lines, Reader},
    },
    process::{
        limits::LimitArgs,
        load_test::LoadTest,
        port_owner,
        supervisor::{Ended, Program, Supervised, Supervisor},
    },
};

/// Who runs the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DriveBy {
    /// The load test's own engine.
    Plan,
    /// This one, trigger by trigger.
    Trigger,
}

/// How long a load test may take until it answers.
const START: Duration = Duration::from_secs(30);
/// How long a connection to this machine may take.
const CONNECT: Duration = Duration::from_secs(1);
/// How often it is tried.
const TRY: Duration = Duration::from_millis(10);
/// No line comes this much later than the one before it: a load test keeps one back for 100 ms at most.
const QUIET: Duration = Duration::from_millis(200);
/// What a load test is asked to stop with.
const SIGTERM: i32 = 15;
/// How long the reason is waited for of a call that broke off.
const REASON: Duration = Duration::from_secs(1);
/// How long lines are waited for at the end.
const LINES: Duration = Duration::from_secs(10);

/// A load test that is run by `golo`.
pub struct Served {
    load_test: LoadTest,
    environment: Vec<(String, String)>,
    /// The proxy that it was told to use, in words.
    proxy: Option<String>,
    grace: Duration,
    limits: LimitArgs,
    share: Share,
    has_warm_up: bool,
    runtime: Handle,
    child: Option<Supervised>,
    reader: Option<JoinHandle<()>>,
    lines: Arc<Lines>,
    journeys: Arc<OpenJourneys>,
    /// Where its socket is.
    folder: Option<TempDir>,
    /// Where it answers, once it does.
    address: Option<Address>,
    /// Whether it is known how it ended.
    is_told: bool,
    /// True if the run is held once its users have started.
    is_held: bool,
    /// Who is to run the plan, where that is said.
    drive: Option<DriveBy>,
    /// Whether its own engine runs the plan.
    runs_plans: bool,
    /// Whether lines still came when they were not waited for any more.
    is_missing_lines: bool,
    on_stderr: Arc<OnLine>,
}

/// What is done with a line of stderr.
type OnLine = dyn Fn(&str) + Send + Sync;

impl Served {
    /// The load test as `call` wants it, with these parameters.
    #[must_use]
    pub fn new(load_test: LoadTest, params: Vec<(String, String)>, call: &RunCall, runtime: Handle) -> Self {
        let (no_keep_alive, insecure) = call.client_options();
        let mut environment = call.params().to_vec();
        environment.retain(|(key, _)| std::env::var_os(key).is_none());
        environment.extend(params);
        // Where it is served, and that it ends, is golo's to say.
        for (is_set, name) in [(no_keep_alive, "GOLO_NO_KEEP_ALIVE"), (insecure, "GOLO_INSECURE"), (true, "GOLO_QUIET")]
        {
            environment.extend(is_set.then(|| (name.to_owned(), "1".to_owned())));
        }
        // Also if there is none, so that a variable of this process decides nothing that the call has decided.
        environment.push(("GOLO_PROXY".to_owned(), call.proxy().key()));
        let proxy = (*call.proxy() != Proxy::None).then(|| call.proxy().to_string());
        Self {
            load_test,
            proxy,
            environment,
            grace: call.plan().graceful_stop(),
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
            is_told: false,
            is_held: false,
            drive: None,
            runs_plans: false,
            is_missing_lines: false,
            on_stderr: Arc::new(|line| say(line)),
        }
    }

    /// Does this with each line of its stderr, rather than to say it.
    #[must_use]
    pub fn on_stderr(mut self, on_line: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_stderr = Arc::new(on_line);
        self
    }

    /// The last that it said on stderr.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.child.as_ref().map_or_else(String::new, Supervised::stderr)
    }

    /// The same load test, whose run is held once its users have started.
    #[must_use]
    pub fn held(self, is_held: bool) -> Self {
        Self { is_held, ..self }
    }

    /// The same with limits.
    #[must_use]
    pub fn limited(self, limits: LimitArgs) -> Self {
        Self { limits, ..self }
    }

    /// The same for one member of a run: the load test learns its share before its `setup` runs.
    #[must_use]
    pub fn sharing(self, share: Share) -> Self {
        Self { share, ..self }
    }

    /// The same, where it is said who runs the plan.
    #[must_use]
    pub fn driven_by(self, drive: Option<DriveBy>) -> Self {
        Self { drive, ..self }
    }

    /// Gives where it answers.
    async fn launch(&mut self, sinks: &Sinks) -> Result<Address, Error> {
        let folder = TempDir::with_prefix("golo-")
            .map_err(|error| not_started("no folder for its socket", Some(error.into())))?;
        let socket = folder.path().join("job.sock");
        self.folder = Some(folder);
        let mut environment: Vec<_> = self.environment.iter().map(|(key, value)| (key.into(), value.into())).collect();
        environment.push(("GOLO_ADDR".into(), format!("unix:{}", socket.display()).into()));
        environment.push(("GOLO_SHARE".into(), format!("{}/{}", self.share.index(), self.share.of()).into()));
        let program = Program { path: self.load_test.path.clone(), arguments: Vec::new(), environment, folder: None };
        let limits = self.limits.with_grace(self.grace);
        let on_stderr = Arc::clone(&self.on_stderr);
        let supervisor = Supervisor::default().on_stderr(move |line| on_stderr(line));
        let mut child = supervisor
            .start(&program, &limits)
            .await
            .map_err(|error| not_started("the load test could not be started", Some(error.into())))?;
        let journeys = Arc::clone(&self.journeys);
        let reader = Reader::new(&self.load_test.name, sinks, self.has_warm_up, journeys, self.runtime.clone());
        self.lines = reader.lines();
        let stdout = child.take_stdout().map(ChildStdout::into_owned_fd).transpose();
        if let Some(stdout) = stdout.map_err(|error| not_started("its stdout cannot be read", Some(error.into())))? {
            let reading = reader.start(std::fs::File::from(stdout));
            self.reader = Some(reading.map_err(|error| not_started("no thread is left", Some(error.into())))?);
        }
        let child = self.child.insert(child);
        tokio::select! {
            address = answering(socket, child.id()) => Ok(address),
            ended = child.ended() => {
                self.is_told = true;
                Err(not_started(format!("the load test ended before it was served: {ended}{}", last_said(child)), None))
            }
            () = sleep(START) => {
                let text = format!(
                    "the load test is not served: within {} s nothing answered on GOLO_ADDR or {}",
                    START.as_secs(),
                    golo::RPC_ADDR
                );
                Err(not_started(text, None))
            }
        }
    }
}

/// Where a load test is found that knows nothing of `GOLO_ADDR`.
fn usual_address() -> SocketAddr {
    // A test holds the constant to being one.
    golo::RPC_ADDR.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 9999)))
}

/// Whether nobody listens there: whoever does now is a stranger.
#[must_use]
pub fn is_free() -> bool {
    TcpStream::connect_timeout(&usual_address(), CONNECT).is_err()
}

/// Waits until the load test, whose processes are the group `group`, answers, and gives where.
async fn answering(socket: PathBuf, group: u32) -> Address {
    let (socket, tcp) = (Address::Socket(socket), Address::Tcp(golo::RPC_ADDR.to_owned()));
    loop {
        if socket.answers().await {
            return socket;
        }
        // Another load test may have taken the port meanwhile.
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
        let address = self.address.clone().ok_or_else(|| not_started("the load test was not waited for", None))?;
        if self.drive != Some(DriveBy::Trigger) {
            let is_asked = self.drive == Some(DriveBy::Plan);
            match self.open(&address, plan, options, &sinks).await? {
                Opened::Runs(mut engine) => {
                    self.runs_plans = true;
                    if self.is_held {
                        engine.hold();
                    }
                    return Ok(engine);
                }
                Opened::RunsNone if is_asked => {
                    return Err(not_started("the load test runs no plans: it does not serve golo.engine.v1", None));
                }
                Opened::Nothing if is_asked => {
                    return Err(not_started("the load test does not say whether it runs plans", None));
                }
                Opened::RunsNone => {}
                Opened::Nothing => say("golo: the load test does not say whether it runs plans: it is triggered"),
            }
        }
        let job = ServedJob::new(address, Arc::clone(&self.journeys));
        let trigger = Arc::new(job.told_by_tags(Arc::clone(&sinks.measured)));
        let engine = Engine::start(trigger, plan.clone(), options.clone(), sinks);
        // Only the load test knows which proxy its requests went through.
        let asked =
            |proxy: &String| format!("{proxy} was asked for; a load test that is not built with golo ignores it");
        let proxies: Vec<_> = self.proxy.iter().map(asked).collect();
        let engine = engine.map_err(|error| not_started("the workers could not be started", Some(error.into())))?;
        let mut engine = LocalEngine::new(engine).with_proxies(proxies);
        if self.is_held {
            engine.hold();
        }
        Ok(Box::new(engine))
    }

    async fn died(&mut self) -> String {
        match &mut self.child {
            Some(child) => {
                let ended = child.ended().await;
                self.is_told = true;
                ended.to_string()
            }
            None => std::future::pending().await,
        }
    }

    async fn settle(&mut self) {
        if self.runs_plans {
            // It has told everything.
            return;
        }
        // Whoever reads raw outputs has the grace to do so.
        let grace = self.grace.clamp(Duration::from_secs(1), LINES);
        self.wait_for_lines(grace, |lines, since| since.elapsed() < QUIET || lines.is_waiting()).await;
        self.lines.hurry();
        // It writes the rest when it is asked to stop.
        if let Some(child) = &mut self.child {
            child.stop().await;
        }
        // A stranger may hold its stdout open, and then nothing comes.
        self.is_missing_lines = !self.wait_for_lines(LINES, |_, since| since.elapsed() < QUIET).await;
        if self.is_missing_lines {
            say(format_args!("golo: the load test still tells of requests {} s after its end", LINES.as_secs()));
        }
    }

    fn missing(&self) -> Option<String> {
        let read = self.lines.outputs();
        self.is_missing_lines.then(|| format!("requests are missing: {read} were read in time, and more were to come"))
    }

    async fn tear_down(&mut self) -> Result<(), Error> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let ended = child.stop().await;
        match ended {
            // It is why the run ended.
            _ if self.is_told => Ok(()),
            // As `teardown` does that fails, and says so on stderr.
            Ended::Exited(1..) if self.runs_plans => Err(torn_down(format!("at its end {ended}"))),
            Ended::Exited(0) | Ended::Signalled(SIGTERM) => Ok(()),
            _ => {
                say(format_args!("golo: at its end {ended}"));
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
    /// Asks the load test to run the plan itself; that it ends meanwhile says more than what becomes of the call.
    async fn open(
        &mut self,
        address: &Address,
        plan: &Plan,
        options: &Options,
        sinks: &Sinks,
    ) -> Result<Opened, Error> {
        let opening = EngineClient::open(address, plan, options, sinks);
        let Some(child) = &mut self.child else { return opening.await };
        let ended = tokio::select! {
            opened = opening => match opened {
                Err(error) => timeout(REASON, child.ended()).await.map_err(|_| error)?,
                opened => return opened,
            },
            ended = child.ended() => ended,
        };
        self.is_told = true;
        Err(not_started(format!("the load test ended before it began: {ended}{}", last_said(child)), None))
    }

    /// Waits for more lines for as long as this is so, with when the last came; gives whether there are no more, or it is not
    /// so any more, within `time`.
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

    /// Whether there are no more lines.
    fn has_ended(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// The last that it said on stderr, as the end of a message.
fn last_said(child: &Supervised) -> String {
    let stderr = child.stderr();
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or_else(String::new, |line| format!("; the last it said: {}", without_secrets(line)))
}
