//! Campaign of faults: plays rounds of a small load on real processes, does one fault to one process or connection in
//! each, and compares the counts of the target, the agents and the collector.
//!
//! ```text
//! target <-- load test <-- supervisor <-- agent --[gate]--> collector
//!                                           ^
//!                                         [gate]-- golo submit
//! ```
//!
//! A round is chosen by the seed and its number alone, so it can be played again. Faults that a round finds are printed
//! on stderr, and the summary on stdout. All processes that the campaign starts carry its folder in their environment;
//! they are killed when it ends, also by SIGINT, SIGTERM or SIGHUP.

mod arguments;
mod calls;
mod fault;
mod fleet;
mod gate;
mod memory;
mod observed;
mod plan;
mod processes;
mod round;
mod rules;
mod tally;
mod target;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser as _;
use golo::cli::say;
use tokio::signal::unix::{SignalKind, signal};

use arguments::{AttackArguments, Command, Line};
use fleet::Fleet;
use plan::Plan;
use processes::Stage;
use tally::Tally;
use target::Target;

fn main() -> ExitCode {
    let line = Line::parse();
    match play(line) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(format_args!("campaign: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Plays what the command line asks for. Returns true if no rule was broken.
fn play(line: Line) -> anyhow::Result<bool> {
    anyhow::ensure!(cfg!(target_os = "linux"), "the processes of a round are found in /proc: this needs Linux");
    golo::cli::install_provider();
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot be started")?;
    let mut stage = Stage::set(line.golo)?;
    let played = runtime.block_on(async {
        tokio::select! {
            played = async {
                match &line.command {
                    Some(Command::Memory(arguments)) => memory::watch(&stage, arguments).await,
                    None => attack(&stage, &line.attack).await,
                }
            } => played,
            () = interrupted() => Err(anyhow::anyhow!("stopped by a signal")),
        }
    });
    stage.kill_all();
    if line.attack.keep && !matches!(played, Ok(true)) {
        say(format_args!("campaign: the files are in {}", stage.keep().display()));
    }
    played
}

/// Plays rounds until the time is over.
async fn attack(stage: &Stage, arguments: &AttackArguments) -> anyhow::Result<bool> {
    let target = Target::start().await?;
    let mut tally = Tally::start();
    let mut fleet = Fleet::start(stage, arguments.agents).await?;
    let begun = Instant::now();
    let mut number = arguments.round.unwrap_or(0);
    while begun.elapsed() < arguments.time {
        let plan = Plan::of(arguments.seed, number, arguments.agents);
        let observed = round::play(stage, &mut fleet, &target, &plan).await?;
        let broken = tally.add(&plan, &observed);
        if !broken.is_empty() {
            let rules = broken.join("\nBROKEN ");
            say(format_args!("BROKEN {rules}\n  seed {}, round {number}: {plan}\n{observed}", arguments.seed));
        }
        target.forget();
        if !broken.is_empty() {
            // The next round must not suffer from this one.
            fleet.end().await;
            fleet = Fleet::start(stage, arguments.agents).await?;
        }
        if arguments.round.is_some() {
            break;
        }
        number += 1;
    }
    fleet.end().await;
    golo::cli::print(&tally.summary(arguments.seed))?;
    if !tally.is_clean() && !arguments.keep {
        say("campaign: play a round again with `--round NUMBER`, and keep its logs with `--keep`");
    }
    Ok(tally.is_clean())
}

/// Returns once a signal asks this program to end.
async fn interrupted() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    std::future::poll_fn(|context| match signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
        true => std::task::Poll::Ready(()),
        false => std::task::Poll::Pending,
    })
    .await;
}

/// Waits until `condition` holds, for at most `limit`. Returns true if it came to hold.
async fn comes<F: Future<Output = bool>>(limit: Duration, mut condition: impl FnMut() -> F) -> bool {
    let begun = Instant::now();
    loop {
        if condition().await {
            return true;
        }
        if begun.elapsed() >= limit {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
