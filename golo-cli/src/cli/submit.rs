//! `golo submit`: runs a load test on several agents and reports as `golo run` does.

mod detached;
mod line;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use golo::cli::{Connections, RunCall, TransportOptions, say};
use serde_json::{Map, Value};

pub use line::SubmitLine;

use crate::cli::command::{UsageError, refused};
use crate::cli::followed::FollowedRun;
use crate::cli::members::Members;
use crate::cli::run::{Asked, RunOwn};
use crate::fleet::builds::{Build, Builds};
use crate::fleet::part::useful;
use crate::fleet::{Fleet, FleetSettings, Member, NewJobs};
use crate::process::limits::LimitArgs;
use crate::process::load_test::LoadTest;
use crate::process::signature::beside;
use crate::support::environment::variable;

/// Runs `golo submit`.
#[must_use]
pub fn run(line: SubmitLine) -> ExitCode {
    let settings = line.loss.on_agent_loss(variable).and_then(|on_loss| Ok((on_loss, line.lease(variable)?)));
    let SubmitLine { load_test, binary, members, run, env, signature, detach, .. } = line;
    let agents_retyped = members.retyped();
    let named = members.named(variable).and_then(|named| Ok((named, settings?)));
    let asked = match Asked::read(load_test, run) {
        Ok(asked) => asked,
        Err(error) => return refused("submit", error),
    };
    if let Err(error) = FollowedRun::check_outputs("submit", &asked.call) {
        return refused("submit", error);
    }
    if let (true, Err(error)) = (detach, detached::check(&asked.call, &asked.own)) {
        return refused("submit", error);
    }
    let (named, (on_loss, lease)) = match named {
        Ok(named) => named,
        Err(error) => return refused("submit", error),
    };
    let Members { mut agents, link } = match named.find() {
        Ok(members) => members,
        Err(code) => return code,
    };
    let used = usize::try_from(useful(asked.call.plan(), agents.len() as u64)).unwrap_or(usize::MAX);
    if let Err(error) = check_transport(asked.call.transport(), used) {
        return refused("submit", error);
    }
    let builds = match builds(&asked, signature, binary) {
        Ok(builds) => builds,
        Err(code) => return code,
    };
    let Asked { call, own: RunOwn { limits, keep, web }, .. } = asked;
    let name = builds.name.clone();
    for Member { name: agent, .. } in agents.drain(used.min(agents.len())..) {
        say(format_args!(
            "{name}: the agent {agent} is not used because the plan leaves no share for it: {}",
            call.plan()
        ));
    }
    let job = job(&call, &name, limits, env, variable);
    let (run, is_quiet, data) = (golo::new_sequence_id(), call.is_quiet(), call.data().to_vec());
    let settings = |keeper| FleetSettings { run: run.clone(), name: name.clone(), on_loss, lease, is_quiet, keeper };
    let jobs = NewJobs { builds, data, job };
    if detach {
        let flags = agents_retyped + &detached::retyped(&keep);
        return detached::start(Fleet::new(settings(None), jobs, agents), &run, &call, &flags);
    }
    let parts = agents.iter().map(|agent| agent.name.clone()).collect();
    let code = FollowedRun { subcommand: "submit", run: &run, name: &name, call: &call, parts, keep, web }
        .follow(|keeper| Fleet::new(settings(keeper), jobs, agents));
    // The connection to the agents.
    drop(link);
    code
}

/// Finds the builds of the load test, each with its signature. If one cannot be used, prints the reason and returns the exit
/// code.
fn builds(asked: &Asked, signature: Option<PathBuf>, others: Vec<(String, PathBuf)>) -> Result<Builds, ExitCode> {
    let build = |LoadTest { path, .. }: LoadTest, signature| {
        let signature = read_signature(signature, &path).map_err(|error| refused("submit", error))?;
        Ok::<_, ExitCode>(Build { path, signature })
    };
    let wrong = |failure| refused("submit", UsageError::wrong(format_args!("`--binary`: {failure}")));
    let mut of_platform = BTreeMap::new();
    let mut name = None;
    for (platform, path) in others {
        let load_test = LoadTest::find(&path).map_err(wrong)?;
        name.get_or_insert_with(|| load_test.name.clone());
        if of_platform.insert(platform.clone(), build(load_test, None)?).is_some() {
            return Err(wrong(format!("{platform} is given twice").into()));
        }
    }
    match name {
        Some(name) if !asked.has_load_test() => Ok(Builds { name, default: None, of_platform }),
        _ => {
            let load_test = asked.load_test("submit")?;
            Ok(Builds { name: load_test.name.clone(), default: Some(build(load_test, signature)?), of_platform })
        }
    }
}

/// Returns the text of the signature of a load test. A file that is not given may be missing.
fn read_signature(given: Option<PathBuf>, load_test: &Path) -> Result<Option<String>, UsageError> {
    let is_given = given.is_some();
    let path = given.unwrap_or_else(|| beside(load_test));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_given => Ok(None),
        Err(error) => {
            Err(UsageError::wrong(format_args!("the signature `{}` cannot be read: {error}", path.display())))
        }
    }
}

/// Checks that `agents` agents can use the options of the transport.
fn check_transport(options: &TransportOptions, agents: usize) -> Result<(), UsageError> {
    if let [(flag, file), ..] = options.files()[..] {
        let file = file.display();
        return Err(UsageError::wrong(format_args!(
            "`--{flag} {file}` is not available in `golo submit`: the file is on this machine, and agents do not receive it"
        )));
    }
    match options.connections {
        Some(Connections::Number(number)) if (number.get() as usize) < agents => Err(UsageError::wrong(format_args!(
            "`--connections {number}` is below the number of agents, {agents}: each agent needs a connection"
        ))),
        _ => Ok(()),
    }
}

/// Returns the job as JSON for the agents.
fn job(
    call: &RunCall,
    load_test: &str,
    limits: LimitArgs,
    params: Vec<(String, String)>,
    variable: impl Fn(&str) -> Option<String>,
) -> Map<String, Value> {
    let mut job = call.keys();
    job.insert("name".to_owned(), call.options(load_test).job_name.into());
    job.extend(limits.keys().map(|(key, value)| (key.to_owned(), value.into())));
    // Same precedence as on this machine: flags, then the environment, then the file.
    let of_file =
        call.params().iter().map(|(key, value)| (key.clone(), variable(key).unwrap_or_else(|| value.clone())));
    let params: Map<String, Value> = of_file.chain(params).map(|(key, value)| (key, value.into())).collect();
    if !params.is_empty() {
        job.insert("env".to_owned(), params.into());
    }
    job
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        submit: SubmitLine,
    }

    fn job_of(flags: &[&str], environment: &[(&str, &str)]) -> Value {
        let variable =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        let SubmitLine { run, env, .. } = Line::try_parse_from(["submit"].iter().chain(flags)).unwrap().submit;
        let (call, own) = run.into_call_with(variable, crate::cli::yaml::parse).unwrap();
        job(&call, "shop", own.limits, env, variable).into()
    }

    #[test]
    fn job_contains_flags_and_variables() {
        assert_eq!(job_of(&[], &[]), json!({ "name": "shop", "seed": 0 }));
        let flags = ["-u", "9", "--name", "sale", "--max-memory", "2KiB", "-e", "A=1", "-e", "A=2", "-e", "B="];
        assert_eq!(
            job_of(&flags, &[("GOLO_DURATION", "90")]),
            json!({
                "name": "sale", "seed": 0, "users": 9, "duration": "1m30s", "max-memory": 2048,
                "env": { "A": "2", "B": "" }
            })
        );
    }

    #[test]
    fn job_contains_options_of_transport() {
        let flags = [
            "--connections",
            "64",
            "--resolve",
            "a:1:10.0.0.1,b:1:::1",
            "--no-resend",
            "--dns",
            "family=4",
            "--traceparent",
        ];
        assert_eq!(
            job_of(&flags, &[("GOLO_HTTP", "1.1")]),
            json!({
                "name": "shop", "seed": 0, "connections": "64", "resolve": "a:1:10.0.0.1,b:1:[::1]",
                "no-resend": true, "traceparent": true, "dns": "ttl=1s,select=round-robin,family=4", "http": "1.1"
            })
        );
    }

    #[test]
    fn options_that_agents_cannot_use_are_refused() {
        let check = |flags: &[&str], agents| {
            let SubmitLine { run, .. } = Line::try_parse_from(["submit"].iter().chain(flags)).unwrap().submit;
            let (call, _) = run.into_call_with(|_| None, crate::cli::yaml::parse).unwrap();
            check_transport(call.transport(), agents).map_err(|error| error.to_string())
        };
        let few = "`--connections 2` is below the number of agents, 3: each agent needs a connection";
        assert_eq!(check(&["--connections", "2"], 3), Err(few.to_owned()));
        assert_eq!(check(&["--connections", "3"], 3), Ok(()));
        let files = [&["--cacert", "x.pem"][..], &["--cert", "x.pem", "--key", "y.pem"], &["--unix-socket", "x.pem"]];
        for flags in files {
            let expected =
                format!("`{} x.pem` is not available in `golo submit`: the file is on this machine", flags[0]);
            assert!(check(flags, 1).unwrap_err().starts_with(&expected), "{flags:?}");
        }
    }

    #[test]
    fn flags_and_environment_override_parameters_of_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.toml");
        std::fs::write(&path, "users = 3\n[env]\nA = 'file'\nB = 'file'\nC = 'file'\n").unwrap();
        let job = job_of(&["-f", &path.display().to_string(), "-e", "C=flag"], &[("B", "environment")]);
        let env = json!({ "A": "file", "B": "environment", "C": "flag" });
        assert_eq!(job, json!({ "name": "shop", "seed": 0, "users": 3, "env": env }));
    }
}
