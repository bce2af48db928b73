//! Drives a load test as an agent does, and prints how the run ended: `driver LOAD_TEST FLAGS…`. `HELD` delays the
//! start by this many milliseconds. If `STOP` is set, the run is stopped once it has started.

#![allow(clippy::print_stdout, reason = "what it prints is what is tested")]

use std::{ffi::OsString, path::Path, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser as _;
use golo::cli::RunArgs;
use golo::engine::share::Share;
use golo::pb::engine::event::Event;
use golo::run_loop::Order;
use golo_cli::cli::yaml;
use golo_cli::drive::driven::{Job, drive};
use golo_cli::process::limits::LimitArgs;
use golo_cli::process::load_test::LoadTest;
use golo_cli::process::supervisor;
use tokio::sync::mpsc;

#[derive(clap::Parser)]
struct Line {
    load_test: String,
    #[command(flatten)]
    run: RunArgs<LimitArgs>,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    supervisor::answer(&arguments).unwrap_or_else(|| match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    })
}

#[tokio::main]
async fn run() -> Result<(), String> {
    let Line { load_test, run } = Line::parse();
    let (call, limits) = run.into_call_with(|_| None, yaml::parse)?;
    let milliseconds = std::env::var("HELD").ok().and_then(|text| text.parse().ok());
    let held: Option<Duration> = milliseconds.map(Duration::from_millis);
    let load_test = LoadTest::find(Path::new(&load_test)).map_err(|error| error.to_string())?;
    let job = Job {
        load_test,
        folder: None,
        call,
        params: Vec::new(),
        share: Share::WHOLE,
        limits,
        check: None,
        exchange: Arc::default(),
        held,
        outputs: Vec::new(),
    };
    let (orders, commands) = mpsc::channel(1);
    let stops = std::env::var_os("STOP").is_some();
    let told = |event: golo::pb::engine::Event| {
        if let Some(Event::Started(_)) = event.event
            && stops
        {
            let _ = orders.try_send(Order::Stop);
        }
    };
    let ended = drive(job, commands, |line| eprintln!("{line}"), told).await;
    println!("{:?}: {}", ended.state(), ended.reason);
    Ok(())
}
