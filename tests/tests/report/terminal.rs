//! Reports on a terminal. Each test has its own pseudo-terminal.

use std::{fs::File, io::Read as _, os::fd::OwnedFd, process::Stdio, thread::JoinHandle};

use golo_tests::{Signal, until, within};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::process::{Child, Command};

use crate::call::{Call, sample};
use crate::screen::Screen;

/// Both ends of a pseudo-terminal.
struct Terminal {
    columns: u16,
    outer: OwnedFd,
    inner: File,
}

/// A run on a terminal, and its output.
struct Shown {
    code: Option<i32>,
    text: String,
    screen: Screen,
}

impl Terminal {
    fn new(columns: u16) -> Self {
        let outer = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&outer).unwrap();
        unlockpt(&outer).unwrap();
        let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&outer, size).unwrap();
        let name = ptsname(&outer, Vec::new()).unwrap().into_string().unwrap();
        let inner = File::options().read(true).write(true).open(name).unwrap();
        Self { columns, outer, inner }
    }

    fn end(&self) -> Stdio {
        self.inner.try_clone().unwrap().into()
    }

    /// Runs `command` after its streams have been set.
    fn spawn(self, mut command: Command) -> (Child, JoinHandle<String>, u16) {
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "CI"] {
            if command.as_std().get_envs().all(|(known, _)| known != name) {
                command.env_remove(name);
            }
        }
        if command.as_std().get_envs().all(|(known, _)| known != "TERM") {
            command.env("TERM", "xterm-256color");
        }
        let child = command.spawn().unwrap();
        // Close all other writers, so that the reader sees the end.
        drop((command, self.inner));
        let mut outer = File::from(self.outer);
        let reader = std::thread::spawn(move || {
            let (mut text, mut some) = (Vec::new(), [0; 4096]);
            while let Ok(length @ 1..) = outer.read(&mut some) {
                text.extend_from_slice(&some[..length]);
            }
            String::from_utf8(text).unwrap()
        });
        (child, reader, self.columns)
    }
}

async fn finish((mut child, reader, columns): (Child, JoinHandle<String>, u16)) -> Shown {
    let code = within("the run's end", child.wait()).await.unwrap().code();
    let text = tokio::task::spawn_blocking(|| reader.join().unwrap()).await.unwrap();
    let screen = Screen::after(if columns == 0 { 80 } else { columns.into() }, &text);
    Shown { code, text, screen }
}

/// Runs `call` with all its streams on a terminal.
async fn show(columns: u16, mut call: Call) -> Shown {
    let terminal = Terminal::new(columns);
    call.command.stdin(terminal.end()).stdout(terminal.end()).stderr(terminal.end());
    finish(terminal.spawn(call.command)).await
}

/// True if the line is the first one of a message or an error.
fn is_message(line: &str) -> bool {
    line.starts_with("reports: ") || line.starts_with("golo: ")
}

impl Shown {
    /// Asserts that nothing of the progress bar is left, and that only messages were wider than the terminal.
    #[track_caller]
    fn assert_tidy(&self) {
        let lines = self.screen.lines();
        assert!(!lines.iter().any(|line| line.contains(['━', '╸', '─'])), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("req/s")), "the bar is gone: {lines:#?}");
        let wide: Vec<_> = self.screen.wrapped.iter().filter(|line| !is_message(line)).collect();
        assert!(wide.iter().all(|line| self.is_of_message(line)), "{wide:#?}");
        assert!(self.screen.is_at_start(), "{:?}", self.text);
    }

    /// True if the line is a continuation of a message.
    fn is_of_message(&self, line: &str) -> bool {
        let lines = self.screen.lines();
        let before = lines.iter().position(|known| known == line.trim_end()).unwrap_or_default();
        let head = lines[..before].iter().rposition(|line| is_message(line));
        head.is_some_and(|head| lines[head..before].iter().all(|line| !line.is_empty()))
    }

    /// True if the progress bar was displayed at some time.
    fn had_bar(&self) -> bool {
        self.screen.seen.iter().any(|line| line.contains(['━', '╸', '─']))
    }
}

#[tokio::test]
async fn output_fits_the_terminal_and_the_bar_is_removed() {
    let target = sample();
    for columns in [40, 80, 140] {
        for job in ["mixed", "a long route", "a wide route", "a hostile route", "fail"] {
            let call = Call::plain(&target, job, "-u 2 --pace 20ms -d 2")
                .with(&["http_req_duration{route:/a/route/that/nobody/has/asked/for} p(99.9)<1s", "http_reqs rate>=0"]);
            let shown = show(columns, call).await;
            assert!([Some(99), Some(96)].contains(&shown.code), "{}", shown.text);
            assert!(shown.had_bar() && shown.screen.styles > 4, "{:?}", shown.text);
            shown.assert_tidy();
            let lines = shown.screen.lines();
            let head = lines.iter().position(|line| line.starts_with("FAILED") || line.starts_with("INVALID"));
            assert!(head.is_some(), "{lines:#?}");
            let widest = lines[head.unwrap()..].iter().map(|line| unicode_width::UnicodeWidthStr::width(&**line)).max();
            assert!(widest.unwrap() <= usize::from(columns) && widest.unwrap() > usize::from(columns) / 2);
        }
    }
}

#[tokio::test]
async fn bar_shows_failures_on_80_columns() {
    let target = sample();
    let shown = show(80, Call::plain(&target, "fail", "-r 1000/s --max-users 1000 -d 3")).await;
    let bars = shown.screen.seen.iter().filter(|line| line.contains(['━', '╸', '─']) && line.contains(" of 3s"));
    let bars: Vec<_> = bars.collect();
    assert!(!bars.is_empty() && bars.iter().all(|line| line.trim_end().ends_with(" failed")), "{bars:#?}");
}

#[tokio::test]
async fn terminal_of_unknown_width_has_80_columns() {
    let target = sample();
    let shown = show(0, Call::plain(&target, "mixed", "-u 2 -i 40")).await;
    assert_eq!(shown.code, Some(0), "{}", shown.text);
    shown.assert_tidy();
}

#[tokio::test]
async fn colours_are_omitted_on_request() {
    let target = sample();
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut call = Call::plain(&target, "mixed", "-u 2 --pace 20ms -d 2").with(&["http_reqs count>1"]);
        call.command.env(name, value);
        let shown = show(80, call).await;
        assert_eq!(shown.screen.styles, 0, "{name}: {:?}", shown.text);
        assert!(name != "TERM" || !shown.text.contains('\u{1b}'), "{:?}", shown.text);
        shown.assert_tidy();
    }
    let mut call = Call::plain(&target, "get", "-u 2 -i 4");
    call.command.env("NO_COLOR", "");
    assert!(show(80, call).await.screen.styles > 0, "an empty variable is none");
}

#[tokio::test]
async fn streams_are_formatted_independently() {
    let target = sample();
    // The summary goes to a file, the progress bar to a terminal.
    let mut call = Call::plain(&target, "get", "-u 2 --pace 20ms -d 2");
    let (path, terminal) = (call.path("out"), Terminal::new(80));
    call.command.stdout(File::create(&path).unwrap()).stderr(terminal.end());
    let shown = finish(terminal.spawn(call.command)).await;
    assert!(shown.had_bar(), "{:?}", shown.text);
    shown.assert_tidy();
    // The summary goes to a terminal, the progress to a file.
    let mut call = Call::plain(&target, "get", "-u 2 --pace 20ms -d 2");
    let (path, terminal) = (call.path("err"), Terminal::new(80));
    call.command.stderr(File::create(&path).unwrap()).stdout(terminal.end());
    let shown = finish(terminal.spawn(call.command)).await;
    assert!(shown.screen.styles > 0 && !shown.had_bar(), "{:?}", shown.text);
    assert!(shown.screen.lines()[0].starts_with("PASSED") || shown.code == Some(96), "{:?}", shown.text);
}

#[tokio::test]
async fn summary_in_a_file_has_no_colours_beside_a_bar() {
    let target = sample();
    let folder = tempfile::tempdir().unwrap();
    let (path, terminal) = (folder.path().join("out"), Terminal::new(140));
    let mut call = Call::plain(&target, "mixed", "-u 2 --pace 20ms -d 2");
    call.command.stdout(File::create(&path).unwrap()).stderr(terminal.end());
    finish(terminal.spawn(call.command)).await.assert_tidy();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains('\u{1b}') && text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[tokio::test]
async fn raw_lines_on_a_terminal_disable_the_bar() {
    let target = sample();
    let shown = show(140, Call::plain(&target, "get", "-u 2 --pace 100ms -d 2 -o jsonl=-")).await;
    assert!(!shown.had_bar(), "{:?}", shown.text);
    let outputs = shown.text.lines().filter(|line| line.starts_with("{\"sequenceID\"") && line.ends_with('}')).count();
    assert_eq!(outputs as u64, target.counter().seen, "{}", shown.text);
}

#[tokio::test]
async fn messages_are_printed_above_the_bar() {
    let target = sample();
    let mut call = Call::plain(&target, "get", "-u 2 --pace 20ms -d 60");
    let terminal = Terminal::new(80);
    call.command.stdout(terminal.end()).stderr(terminal.end());
    let running = terminal.spawn(call.command);
    // Wait for about two seconds of load, so that the bar is displayed.
    until("there is load", || target.counter().seen > 200).await;
    let id = rustix::process::Pid::from_raw(running.0.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(id, Signal::INT).unwrap();
    let shown = finish(running).await;
    assert_eq!(shown.code, Some(105), "{}", shown.text);
    assert!(shown.had_bar(), "{:?}", shown.text);
    shown.assert_tidy();
    let said = "reports: finishing the triggers in flight; a second signal cuts them off";
    assert!(shown.screen.lines().contains(&said.to_owned()), "{:#?}", shown.screen.lines());
}

#[tokio::test]
async fn panic_messages_are_printed_above_the_bar() {
    let target = sample();
    let mut call = Call::plain(&target, "panic later", "-u 2 --pace 100ms -d 3");
    call.command.env("RUST_BACKTRACE", "0");
    let shown = show(80, call).await;
    assert!(shown.had_bar(), "{:?}", shown.text);
    let lines = shown.screen.lines();
    let panics: Vec<_> = lines.iter().filter(|line| line.contains("panicked at")).collect();
    assert!(!panics.is_empty() && panics.iter().all(|line| !line.contains(['━', '╸', '─'])), "{lines:#?}");
    shown.assert_tidy();
}

#[tokio::test]
async fn closed_terminal_does_not_end_the_run() {
    let target = sample();
    let mut call = Call::new(&target, "get", "-r 100/s -d 3");
    let (path, terminal) = (call.path("summary.json"), Terminal::new(80));
    call.command.stdin(terminal.end()).stdout(terminal.end()).stderr(terminal.end()).env("TERM", "xterm");
    let mut child = call.command.spawn().unwrap();
    call.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    until("there is load", || target.counter().seen > 100).await;
    drop(terminal);
    let code = within("the run's end", child.wait()).await.unwrap().code();
    let summary: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(summary["load"]["due"], 300, "{code:?}");
}
