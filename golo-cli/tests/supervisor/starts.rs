//! Starts of load tests, and the errors if they cannot be started.

use std::error::Error as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use golo_cli::process::supervisor::{Ended, Limits, Program, StartError, Supervisor};
use tokio::process::Command;

use crate::support::{Running, patient, script, supervisor, within};

/// A temporary folder with executable files.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn executable(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

/// Returns the error of starting the program at `path`.
async fn refused(path: impl AsRef<Path>) -> StartError {
    refused_with(&Program { path: path.as_ref().into(), ..Program::default() }, &patient()).await
}

async fn refused_with(program: &Program, limits: &Limits) -> StartError {
    match within("the start", supervisor().start(program, limits)).await {
        Ok(_) => panic!("{} was started", program.path.display()),
        Err(error) => error,
    }
}

#[tokio::test]
async fn path_that_is_no_executable_file_is_refused() {
    let folder = Folder::new();
    let right = "a load test is an executable file, such as `target/release/NAME`";

    let error = refused("/no/such/file").await;
    assert_eq!(error.to_string(), format!("there is no file `/no/such/file`: {right}"));
    assert!(error.is_program());

    let path = folder.0.path().display();
    let error = refused(folder.0.path()).await;
    assert_eq!(error.to_string(), format!("`{path}` is a directory: {right}"));

    let file = folder.executable("plain", "#!/bin/sh\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let name = file.display();
    assert_eq!(refused(&file).await.to_string(), format!("`{name}` is not executable: run `chmod +x {name}`"));

    assert_eq!(refused("/dev/null").await.to_string(), format!("`/dev/null` is not a regular file: {right}"));
}

#[tokio::test]
async fn program_name_is_not_looked_up_in_path() {
    let error = refused("sh").await;
    assert!(error.to_string().starts_with("there is no file `/"), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn program_for_another_machine_is_refused() {
    let folder = Folder::new();
    let mut own = fs::read(env!("CARGO_BIN_EXE_golo")).unwrap();
    own.truncate(8192);
    let cut = refused(folder.executable("cut", &own)).await;
    assert!(
        cut.to_string().ends_with("/cut` is damaged, or cut short after 8192 bytes: copy or upload it again"),
        "{cut}"
    );

    let mut object = own.clone();
    object[16..18].copy_from_slice(&1_u16.to_ne_bytes());
    let error = refused(folder.executable("object", &object)).await;
    assert!(error.to_string().contains("/object` is only a part of a program: "), "{error}");

    // SPARC, which none of the test machines has.
    own[18..20].copy_from_slice(&43_u16.to_ne_bytes());
    let error = refused(folder.executable("other", &own)).await;
    assert!(error.to_string().contains("/other` is built for sparc64: build it for this machine"), "{error}");
    assert!(error.is_program());

    own[18..20].copy_from_slice(&65_000_u16.to_ne_bytes());
    let error = refused(folder.executable("unknown", &own)).await;
    assert!(error.to_string().contains("/unknown` is built for machine 65000: "), "{error}");

    for (name, start, system) in [
        ("load.exe", &b"MZ\x90\0"[..], "Windows"),
        ("mac", b"\xcf\xfa\xed\xfe\x0c", "macOS"),
        ("fat", b"\xca\xfe\xba\xbe", "macOS"),
    ] {
        let error = refused(folder.executable(name, start)).await;
        assert!(error.to_string().contains(&format!("/{name}` is a program for {system}: build it ")), "{error}");
    }
}

#[tokio::test]
async fn text_file_without_an_interpreter_is_refused() {
    let folder = Folder::new();
    let error = refused(folder.executable("text", "echo hello\n")).await;
    assert!(error.to_string().contains("/text` is not a program: "), "{error}");
    assert!(error.to_string().ends_with("name a script's interpreter in its first line, as in `#!/bin/sh`"), "{error}");

    let error = refused(folder.executable("empty", "")).await;
    assert!(error.to_string().ends_with("/empty` is empty: copy or upload it again"), "{error}");

    let error = refused(folder.executable("lost", "#! /no/such/shell -e\n")).await;
    assert!(
        error.to_string().contains("/lost` needs `/no/such/shell` to run, which this machine does not have: "),
        "{error}"
    );

    let error = refused(folder.executable("dos", "#!/bin/sh\r\nexit 5\r\n")).await;
    assert!(
        error.to_string().contains("/dos` needs `/bin/sh\\r` to run, which this machine does not have: "),
        "{error}"
    );

    let path = folder.executable("script", "#!/bin/sh\nexit 5\n");
    let program = Program { path, ..Program::default() };
    let mut running = Running::of(supervisor().start(&program, &patient()).await);
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(5));
    running.nothing_is_left();
}

/// An agent writes a load test and starts it while another of its threads starts some other process.
#[tokio::test]
async fn start_is_retried_while_the_program_is_open_for_writing() {
    let folder = Folder::new();
    let path = folder.executable("script", "#!/bin/sh\nexit 5\n");
    let open = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let program = Program { path, ..Program::default() };
    let limits = patient();
    let start = supervisor().start(&program, &limits);
    let close = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(open);
    };
    let (started, ()) = tokio::join!(start, close);
    let mut running = Running::of(started);
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(5));
    running.nothing_is_left();
}

#[tokio::test]
async fn missing_working_folder_is_reported() {
    let program = Program { folder: Some("/no/such/folder".into()), ..script("exit 0") };
    let error = refused_with(&program, &patient()).await;
    assert_eq!(error.to_string(), "the folder `/no/such/folder` cannot be entered");
    assert!(!error.is_program());
    assert!(error.source().unwrap().to_string().starts_with("No such file or directory"));
}

#[tokio::test]
async fn supervisor_that_fails_to_start_is_reported() {
    let folder = Folder::new();
    let path = folder.executable("golo", "#!/bin/sh\necho what is $1 >&2\nexit 1\n");
    let supervisor = Supervisor::default().executable(path);
    let error = within("the start", supervisor.start(&script("exit 0"), &patient())).await.unwrap_err();
    let told = "the supervisor ended before the load test was started: what is supervise";
    assert_eq!(error.to_string(), told);

    let supervisor = Supervisor::default().executable("/no/such/golo");
    let error = within("the start", supervisor.start(&script("exit 0"), &patient())).await.unwrap_err();
    assert_eq!(error.to_string(), "the supervisor cannot be started");
}

#[tokio::test]
async fn supervise_called_by_a_person_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_golo"));
    command.args(["supervise", "--", "/bin/sh"]).stdin(Stdio::null());
    let output = within("its end", command.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(104));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, "golo supervise: this subcommand is internal: `golo run` starts it\n");
}

#[tokio::test]
async fn load_test_receives_its_arguments_environment_and_folder() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program {
        folder: Some(folder.path().into()),
        environment: vec![("GOLO_ADDR".into(), "127.0.0.1:1".into())],
        arguments: vec![
            "-c".into(),
            "pwd -P; echo $GOLO_ADDR; echo \"$0,$1,$2\"; cat".into(),
            "--".into(),
            "".into(),
            "a b".into(),
        ],
        ..script("")
    };
    let mut running = Running::of(supervisor().start(&program, &patient()).await);
    assert_eq!(running.stdout.line().await, folder.path().canonicalize().unwrap().to_str().unwrap());
    assert_eq!(running.stdout.line().await, "127.0.0.1:1");
    assert_eq!(running.stdout.line().await, "--,,a b");
    // `cat` ends immediately, because stdin is empty.
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(0));
    running.nothing_is_left();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn load_test_inherits_no_descriptor_and_no_ignored_signal() {
    for text in ["exec ls /proc/self/fd", "exec grep -E '^Sig(Blk|Ign)' /proc/self/status"] {
        // Compare with a plain child process: it inherits what this process itself inherited.
        let plain = Command::new("sh").args(["-c", text]).stdin(Stdio::null()).output().await.unwrap().stdout;
        let mut running = Running::start(text, &patient()).await;
        let mut lines = Vec::new();
        while let Some(line) = running.stdout.next().await {
            lines.push(line);
        }
        let plain = String::from_utf8(plain).unwrap();
        assert!(plain.lines().eq(&lines), "{lines:?} rather than {plain}");
        within("its end", running.load_test.ended()).await;
        running.nothing_is_left();
    }
}
