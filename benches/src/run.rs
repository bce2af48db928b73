//! Cost of one request of `hello run`, everything included, compared with bare hyper and reqwest; then with more users, a second
//! worker, another allocator, and cookies.

use std::process::Command;

use crate::compare::{Target, counted, has_valgrind, instructions, measured, pin, quartiles, table, worker};
use crate::hello::{Hello, answered};
use crate::{Options, Size};

const ONE_WORKER: &str = "-u 64 --workers 1";

/// A program to compare.
enum Contestant {
    /// A mode of the program `httpyard`, with this number of connections.
    Yardstick {
        path: String,
        mode: &'static str,
        connections: &'static str,
    },
    /// The same loop in this program, with all the reqwest features that this workspace enables.
    Reqwest,
    Hello(Hello, &'static str),
}

struct Bench<'a> {
    size: Size,
    url: &'a str,
}

pub(crate) fn compare(size: Size, options: &Options) {
    pin(Some(0));
    let target = Target::start(options.url.as_deref());
    pin(None);
    let hello = options.hello(&target.url);
    workers(size, &hello);

    let plain = hello.with(size, "hello-plain", "");
    let cookies = hello.with(size, "hello-cookies", r#""mimalloc", "cookies""#);
    let mut contestants = vec![
        ("reqwest, golo's features", Contestant::Reqwest),
        ("hello, 64 users", Contestant::Hello(hello.clone(), ONE_WORKER)),
        ("hello, 1,000 users", Contestant::Hello(hello.clone(), "-u 1000 --workers 1")),
        ("hello without mimalloc", Contestant::Hello(plain, ONE_WORKER)),
        ("hello with cookies", Contestant::Hello(cookies, ONE_WORKER)),
    ];
    if let Some(path) = &options.yardstick {
        let yardsticks = [
            ("hyper, a connection each", "y3", "64"),
            ("hyper, 1,000 connections", "y3", "1000"),
            ("reqwest as it comes", "y1", "64"),
            ("reqwest, 1,000 connections", "y1", "1000"),
        ];
        let yardsticks = yardsticks
            .map(|(name, mode, connections)| (name, Contestant::Yardstick { path: path.clone(), mode, connections }));
        contestants.splice(0..0, yardsticks);
    }
    let bench = Bench { size, url: &target.url };
    // The target runs on the first core.
    pin(Some(1));
    let mut cpu = vec![Vec::new(); contestants.len()];
    for _ in 0..size.rounds {
        for ((_, contestant), times) in contestants.iter().zip(&mut cpu) {
            times.push(bench.cpu(contestant));
        }
    }
    let counts: Vec<f64> = match size.counted > 0 && has_valgrind() {
        true => contestants.iter().map(|(_, contestant)| bench.instructions(contestant)).collect(),
        false => Vec::new(),
    };
    pin(None);
    let names: Vec<&str> = contestants.iter().map(|(name, _)| *name).collect();
    table("a request of `run`, everything included (12-byte body, 64 at a time, one worker)", &names, &cpu, &counts);
    // The same figures, relative to the unchanged `hello`.
    let first = names.iter().position(|name| name.starts_with("hello")).expect("it is there");
    table(
        "… against 64 users of hello as it is",
        &names[first..],
        &cpu[first..],
        counts.get(first..).unwrap_or_default(),
    );
}

/// Compares two workers with one, for the same users. If the target needs one of two cores, a second worker gains
/// little.
fn workers(size: Size, hello: &Hello) {
    let mut ratios = Vec::new();
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..size.rounds.min(5) {
        for (workers, rates) in (1..).zip(&mut rates) {
            let ended = hello.run(&format!("-u 64 --workers {workers} -d {}ms", size.run.as_millis()));
            rates.push(ended.starts("done") as f64 / size.run.as_secs_f64());
        }
        ratios.push(rates[1].last().expect("it ran") / rates[0].last().expect("it ran"));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (low, ratio, high) = quartiles(&ratios);
    println!("\ntwo workers against one (64 users; {cores} cores, which the target is on too)");
    for (name, rates) in ["one", "two"].iter().zip(&rates) {
        let (low, rate, high) = quartiles(rates);
        println!("  {name:<28}{rate:>9.0} requests/s ({low:.0}–{high:.0})");
    }
    println!("  {:<28}{ratio:>9.3} × ({low:.3}–{high:.3})", "two to one");
}

impl Bench<'_> {
    /// Returns the CPU time per request in nanoseconds.
    fn cpu(&self, contestant: &Contestant) -> f64 {
        match contestant {
            Contestant::Yardstick { path, mode, connections } => {
                let output =
                    self.yardstick(path, mode, connections, self.size.run.as_secs_f64()).output().expect("it runs");
                figure(&output.stderr, "cpu_us_per") * 1e3
            }
            Contestant::Reqwest => measured(&self.reqwest(self.size.operations * 4).output().expect("it runs").stderr),
            Contestant::Hello(hello, arguments) => {
                hello.run(&format!("{arguments} -d {}ms", self.size.run.as_millis())).cpu_per_request()
            }
        }
    }

    /// Returns the instructions per request: the difference between a long and a short run, so that starting is not
    /// counted.
    fn instructions(&self, contestant: &Contestant) -> f64 {
        let count = |factor: u64| {
            let operations = self.size.counted * factor;
            let output = |command: Command| counted(&command).output().expect("it runs");
            match contestant {
                Contestant::Yardstick { path, mode, connections } => {
                    let stderr = output(self.yardstick(path, mode, connections, factor as f64 * 2.0)).stderr;
                    (instructions(&stderr), figure(&stderr, "n"))
                }
                Contestant::Reqwest => (instructions(&output(self.reqwest(operations)).stderr), operations as f64),
                Contestant::Hello(hello, arguments) => {
                    let output = output(hello.command(&format!("{arguments} -i {operations}")));
                    answered(&output);
                    (instructions(&output.stderr), operations as f64)
                }
            }
        };
        let (short, long) = (count(1), count(3));
        (long.0 - short.0) / (long.1 - short.1)
    }

    fn reqwest(&self, operations: u64) -> Command {
        worker(&["request", "reqwest as it comes", &operations.to_string(), self.url])
    }

    fn yardstick(&self, path: &str, mode: &str, connections: &str, seconds: f64) -> Command {
        let mut command = Command::new(path);
        // Options with one-letter names have one dash.
        command.args(["--mode", mode, "--url", &slashed(self.url), "-c", connections, "-d", &seconds.to_string()]);
        command
    }
}

/// Ends the URL with a slash, because the yardstick needs a path.
fn slashed(url: &str) -> String {
    format!("{}/", url.trim_end_matches('/'))
}

/// Returns a number from the JSON that the yardstick prints last.
fn figure(stderr: &[u8], name: &str) -> f64 {
    let stderr = String::from_utf8_lossy(stderr);
    let figures = stderr.lines().find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    if let Some(figures) = &figures {
        assert_eq!(figures["errs"], 0, "{stderr}");
    }
    figures.and_then(|figures| figures[name].as_f64()).unwrap_or_else(|| panic!("no {name} in:\n{stderr}"))
}
