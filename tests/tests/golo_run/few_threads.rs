//! Processes that may start no or few threads: they report that, and end.

use super::*;

/// Runs a program with these arguments as a user of its own, whose limit of processes and threads is `most`.
async fn with_few_threads(most: u32, program: &Path, arguments: &str) -> Finished {
    let id = 1_000_000 + std::process::id();
    let mut limited = command("/usr/bin/setpriv");
    limited.arg(format!("--reuid={id}")).arg("--clear-groups");
    limited.args(["prlimit", &format!("--nproc={most}")]).arg(program).args(arguments.split_whitespace());
    Program::spawn(limited).finish().await
}

#[tokio::test]
async fn too_few_threads_are_reported() {
    // Root has no limit of processes, and only root may become another user.
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/bin/setpriv").exists() {
        eprintln!("skipped: this test must be run by root, and needs `setpriv`");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    // The other user may not enter the folder of the build.
    let copied = |path: &str| {
        let to = folder.path().join(Path::new(path).file_name().unwrap());
        fs::hard_link(path, &to).or_else(|_| fs::copy(path, &to).map(drop)).unwrap();
        to
    };
    let (jobs, golo) = (copied(JOBS), copied(env!("CARGO_BIN_EXE_golo-command")));
    let at = folder.path().display();
    for (program, arguments) in [
        (&jobs, "run -u 1 -i 1 -q".to_owned()),
        (&jobs, "once".to_owned()),
        (&jobs, format!("serve --addr unix:{at}/job.sock")),
        (&golo, format!("run {} -u 1 -i 1 -q --no-keep", jobs.display())),
        (&golo, format!("agent --addr 127.0.0.1:0 --data {at}/agent")),
        (&golo, format!("collector --addr 127.0.0.1:0 --db {at}/results.db")),
    ] {
        for most in 1..=2 {
            let Finished { code, stdout, stderr } = with_few_threads(most, program, &arguments).await;
            let text = [stdout, stderr].concat().join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(code, Some(107), "{most} {arguments}: {text}");
            assert!(text.contains("the runtime could not be started: "), "{most} {arguments}: {text}");
            assert!(text.contains("raise the limit of processes and threads"), "{most} {arguments}: {text}");
            assert!(!text.contains("panicked"), "{most} {arguments}: {text}");
        }
    }
}
