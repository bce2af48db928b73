//! Cost of storing runs, and of listing, showing and comparing them:
//!
//! ```text
//! cargo test --release -p golo-cli --test archive_costs -- --ignored --nocapture
//! ```
//!
//! `GOLO_COSTS_FOLDER` is a folder whose database of the long runs is used again the next time. `GOLO_COSTS_RUN` is a
//! database whose newest run is stored anew by `bytes_of_a_second`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "it is a measurement")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use golo::engine::histogram::Histogram;
use golo::engine::plan::{Asked, Plan};
use golo_cli::results::store::{Batch, Store};
use golo_proto::engine as pb;
use golo_proto::engine::event::Event;
use golo_proto::results::{Begun, Ended, Record, record};

const RUNS: u64 = 100;
const SECONDS: u64 = 600;
const SERIES: u64 = 10;
/// Length and routes of the long runs.
const LONG: (u64, u64) = (20_000, 25);
const SECOND: u64 = 1_000_000_000;

fn record(record: record::Record) -> Record {
    Record { at: 1_800_000_000 * SECOND, record: Some(record) }
}

fn event(event: Event) -> Record {
    record(record::Record::Event(pb::Event { event: Some(event) }))
}

fn begun(run: u64, seconds: u64) -> Record {
    let plan = Plan::new(Asked { duration: Some(Duration::from_secs(seconds)), ..Asked::default() }).unwrap();
    let plan = pb::Plan { needs: 1, load: Some((&plan).into()), workers: 2, ..pb::Plan::default() };
    record(record::Record::Begun(Begun {
        run: format!("run-{run:03}"),
        agent: "here".to_owned(),
        load_test: "shop".to_owned(),
        plan: Some(plan),
        ..Begun::default()
    }))
}

/// Returns a second with 50 requests per series, with a spread similar to that of a real service.
fn second(run: u64, number: u64, all: u64) -> Record {
    let series = |series: u64| {
        let mut durations = Histogram::new();
        for request in 0..50 {
            let noise = (run * 7919 + number * 104_729 + series * 1299 + request * request * 31) % 997;
            durations.record(2_000_000 + noise * noise * 10);
        }
        pb::Series {
            label: Some(pb::Label {
                origin: "http://127.0.0.1:8765".to_owned(),
                route: format!("/items/{series}"),
                method: "GET".to_owned(),
                priority: 0,
                tags: Vec::new(),
            }),
            outcome: Some(pb::series::Outcome::Answered(200)),
            durations: Some((&durations).into()),
            received: 5000,
            sent: 0,
            is_content: false,
        }
    };
    let triggers = pb::Triggers { due: 500, done: 500, ..pb::Triggers::default() };
    let snapshot =
        pb::Snapshot { requests: (0..all).map(series).collect(), triggers: Some(triggers), ..pb::Snapshot::default() };
    event(Event::Second(pb::Second { elapsed: number * SECOND, users: 25, snapshot: Some(snapshot), connections: 0 }))
}

fn end(seconds: u64) -> [Record; 2] {
    let plan = Plan::new(Asked::default()).unwrap();
    let finished = pb::Finished {
        started_at: Some(1_800_000_000 * SECOND),
        load_time: seconds * SECOND,
        whole_time: seconds * SECOND,
        load: Some((&plan).into()),
        workers: 2,
        ..pb::Finished::default()
    };
    [event(Event::Finished(finished)), record(record::Record::Ended(Ended::default()))]
}

#[test]
#[ignore = "a measurement of minutes"]
fn queries_over_a_hundred_runs_of_ten_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let mut store = Store::open(&path).unwrap();
    (0..RUNS).for_each(|run| add(&mut store, run, (SECONDS, SERIES)));
    println!("{RUNS} runs of {SECONDS} s, {SERIES} series each: {} MB", store.bytes() / 1_000_000);
    drop(store);
    // The first listing computes the summaries that are not stored yet.
    for call in [
        "runs --limit 100",
        "runs --limit 100",
        "runs",
        "show latest",
        "show run-000 --html page.html",
        "compare run-000 latest",
    ] {
        measure(call, &path);
    }
}

/// Stores a run.
fn add(store: &mut Store, run: u64, (seconds, series): (u64, u64)) {
    let records = std::iter::once(begun(run, seconds))
        .chain((1..=seconds).map(|number| second(run, number, series)))
        .chain(end(seconds));
    let (mut records, mut from) = (records.peekable(), 0);
    while records.peek().is_some() {
        let records: Vec<_> = records.by_ref().take(1000).collect();
        let run = format!("run-{run:03}");
        from = store.ingest(Batch { run, agent: "here".to_owned(), job: None, from, records }).unwrap().next;
    }
}

/// Prints the time of a call of `golo`, its time on processors, and its most memory.
fn measure(call: &str, db: &Path) {
    let started = Instant::now();
    let mut golo = Command::new("bash");
    // `$0` and its arguments are a child of the shell, which then prints what its children used.
    golo.args(["-c", r#""$0" "$@" >/dev/null & pid=$!; while kill -0 $pid 2>/dev/null; do grep VmHWM /proc/$pid/status >hwm.new 2>/dev/null && mv hwm.new hwm; sleep 0.02; done; wait $pid; code=$?; times >cpu; exit $code"#]);
    golo.arg(env!("CARGO_BIN_EXE_golo")).args(call.split_whitespace()).env("GOLO_DB", db);
    let folder = tempfile::tempdir().unwrap();
    let status = golo.current_dir(&folder).status().unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let cpu = read("cpu").lines().last().unwrap_or_default().to_owned();
    println!("golo {call}: {:.2} s ({cpu}), {}, {status}", started.elapsed().as_secs_f64(), read("hwm").trim());
}

/// A collector, which is killed at the end.
struct Collector(Child);

impl Collector {
    fn start(db: &Path) -> (Self, String) {
        let mut golo = Command::new(env!("CARGO_BIN_EXE_golo"));
        golo.args(["collector", "--addr", "127.0.0.1:0"]).env("GOLO_DB", db).stderr(Stdio::piped());
        let mut child = golo.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| Some(line.unwrap().split_once("listens on http://")?.1.to_owned()));
        std::thread::spawn(move || lines.for_each(drop));
        (Self(child), address.unwrap())
    }

    fn most_memory(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Returns the number of bytes of an answer. A slow client pauses for 10 ms after each 64 KiB.
fn get(address: &str, path: &str, is_slow: bool) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let (mut piece, mut bytes) = (vec![0; 64 << 10], 0);
    loop {
        match stream.read(&mut piece).unwrap() {
            0 => return bytes,
            read => bytes += read,
        }
        if path.ends_with("/events") && piece.windows(10).any(|part| part == b"event: end") {
            return bytes;
        }
        if is_slow {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
#[ignore = "a measurement of minutes"]
fn queries_over_two_runs_of_five_hours() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("GOLO_COSTS_FOLDER").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let path = folder.join("runs.db");
    if !path.exists() {
        let mut store = Store::open(&path).unwrap();
        (0..2).for_each(|run| add(&mut store, run, LONG));
        println!("2 runs of {} s, {} series each: {} MB", LONG.0, LONG.1, store.bytes() / 1_000_000);
    }
    for call in ["show run-000", "compare run-000 run-000", "compare run-000 run-001"] {
        measure(call, &path);
    }
    for (path_of, slow) in [
        ("/api/runs/run-000/seconds", 1),
        ("/api/runs/run-000/records", 1),
        ("/runs/run-000/events", 0),
        ("/compare?a=run-000&b=run-001", 0),
    ] {
        let (collector, address) = Collector::start(&path);
        let started = Instant::now();
        let clients = (0..4).map(|client| {
            let address = address.clone();
            std::thread::spawn(move || get(&address, path_of, client < slow))
        });
        let bytes: Vec<_> = clients.collect::<Vec<_>>().into_iter().map(|client| client.join().unwrap()).collect();
        let memory = collector.most_memory();
        println!("4 clients, GET {path_of}: {bytes:?} bytes, {:.2} s, {memory}", started.elapsed().as_secs_f64());
    }
    let (collector, address) = Collector::start(&path);
    for call in ["show run-000", "compare run-000 run-001"] {
        measure(&format!("{call} --collector {address}"), &path);
        println!("  the collector: {}", collector.most_memory());
    }
}

/// Prints the bytes that a second of a run takes in the database, by table, and the time on processors to store it.
fn measure_bytes(name: &str, records: &[Record]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let mut store = Store::open(&path).unwrap();
    let Some(record::Record::Begun(begun)) = records[0].record.clone() else { panic!("no run: {:?}", records[0]) };
    let before = cpu();
    for (from, record) in (0..).zip(records) {
        let (run, agent, records) = (begun.run.clone(), begun.agent.clone(), vec![record.clone()]);
        store.ingest(Batch { run, agent, job: None, from, records }).unwrap();
    }
    let used = cpu() - before;
    drop(store);
    let database = rusqlite::Connection::open(&path).unwrap();
    let number = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as f64;
    let seconds = number("SELECT count(*) FROM triggers");
    let requests = number("SELECT requests FROM runs") / seconds;
    let sent: usize = records.iter().map(prost::Message::encoded_len).sum();
    println!(
        "{name}, {requests:.0} requests/s: {:.0} bytes a second in the database, {:.0} as records; \
         {:.2} ms of CPU each",
        std::fs::metadata(&path).unwrap().len() as f64 / seconds,
        sent as f64 / seconds,
        used.as_secs_f64() * 1e3 / seconds,
    );
    let mut tables =
        database.prepare("SELECT name, sum(pgsize) FROM dbstat GROUP BY 1 ORDER BY 2 DESC LIMIT 5").unwrap();
    let table = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
    for (table, bytes) in tables.query_map([], table).unwrap().map(Result::unwrap) {
        println!("  {table}: {:.0}", bytes as f64 / seconds);
    }
}

/// Returns the CPU time of this process.
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| {
        let ran = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        ran.split(' ').next().and_then(|ran| ran.parse().ok()).unwrap_or(0)
    });
    Duration::from_nanos(tasks.sum())
}

/// Random numbers that are the same each time.
struct Numbers(u64);

impl Numbers {
    /// Returns a number from 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a duration as those of a real service: most are near `median` nanoseconds, and some are much longer.
    fn duration(&mut self, median: f64) -> u64 {
        let normal = (0..12).map(|_| self.next()).sum::<f64>() - 6.0;
        (median * (0.4 * normal).exp()) as u64
    }
}

/// Returns a second of 25 routes with their phases, triggers and journeys, as golo's own transport reports them. Each
/// trigger has one request.
fn whole_second(number: u64, requests: u64, outcomes: u32, numbers: &mut Numbers) -> Record {
    let mut snapshot = pb::Snapshot::default();
    let mut triggers = Histogram::new();
    let [mut done, mut failed] = [0; 2];
    for route in 0..25 {
        for outcome in 0..outcomes {
            let [mut durations, mut sending, mut waiting] = [const { Histogram::new() }; 3];
            for _ in 0..requests {
                let (sent, waited) = (numbers.duration(40_000.0), numbers.duration(4e6 + 3e5 * f64::from(route)));
                sending.record(sent);
                waiting.record(waited);
                durations.record(sent + waited);
                triggers.record(sent + waited + 2_000);
            }
            done += requests;
            failed += if outcome > 0 { requests } else { 0 };
            let status = [200, 503][outcome as usize];
            let label = pb::Label {
                origin: "http://127.0.0.1:8765".to_owned(),
                route: format!("/items/{{id}}/part/{route}"),
                method: "GET".to_owned(),
                priority: 1,
                tags: Vec::new(),
            };
            let outcome = match status {
                200 => pb::series::Outcome::Answered(status),
                _ => pb::series::Outcome::Unexpected(status),
            };
            let series = pb::Series { label: Some(label), outcome: Some(outcome), ..pb::Series::default() };
            snapshot.phases.push(pb::Phases {
                series: Some(series.clone()),
                requests,
                sending: Some((&sending).into()),
                waiting: Some((&waiting).into()),
                ..pb::Phases::default()
            });
            snapshot.requests.push(pb::Series { durations: Some((&durations).into()), received: 5000, ..series });
        }
    }
    let of_triggers = || Some((&triggers).into());
    snapshot.triggers = Some(pb::Triggers {
        due: done,
        done,
        failed,
        service: of_triggers(),
        response: of_triggers(),
        ..Default::default()
    });
    snapshot.journeys = of_triggers();
    event(Event::Second(pb::Second { elapsed: number * SECOND, users: 25, snapshot: Some(snapshot), connections: 25 }))
}

#[test]
#[ignore = "a measurement"]
fn bytes_of_a_second() {
    const SECONDS: u64 = 120;
    for (name, requests, outcomes) in
        [("25 routes", 4, 1), ("25 routes", 40, 1), ("25 routes", 400, 1), ("50 series", 40, 2)]
    {
        let mut numbers = Numbers(1);
        let mut records = vec![begun(0, SECONDS)];
        records.extend((1..=SECONDS).map(|number| whole_second(number, requests, outcomes, &mut numbers)));
        records.extend(end(SECONDS));
        measure_bytes(name, &records);
    }
    if let Some(path) = std::env::var_os("GOLO_COSTS_RUN") {
        let store = Store::open_to_read(Path::new(&path)).unwrap();
        let part = store.parts(&store.find("latest").unwrap()).unwrap().remove(0);
        let records: Vec<_> = store.records(&part, 0).map(Result::unwrap).collect();
        measure_bytes(&Path::new(&path).display().to_string(), &records);
    }
}
