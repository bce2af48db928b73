//! The body of `POST /queue`: the keys of a job file and those of the agent.

use std::collections::BTreeMap;
use std::time::Duration;

use golo::cli::{Connections, DataFile, JobFile, RunCall, parse_duration};
use golo::engine::share::Share;
use golo::report::duration;
use serde_json::{Map, Value};

use super::lease::{LONGEST, SHORTEST};
use crate::{process::limits::LimitArgs, results::store::MAX_PARTS, support::failure::Failure};

/// Name of a job without a name.
const NAMELESS: &str = "dead_letter";
/// Keys of the agent, which job files do not have.
const OWN: [&str; 9] = ["binary", "signature", "data", "run", "agent", "share", "hold", "lease", "request"];
/// Flags of `run` that concern the client's files and terminal, or the run as a whole.
const ELSEWHERE: [&str; 5] = ["out", "file", "quiet", "no-progress", "abort-on-fail"];
/// Reserved run ID, which means the newest run.
const LATEST: &str = "latest";
/// Prefix of golo's own environment variables.
const OURS: &str = "GOLO_";

/// Names and values of environment variables.
type Params = Vec<(String, String)>;

/// A requested job.
#[derive(Debug)]
pub struct Request {
    /// Name of the job.
    pub name: String,
    /// SHA-256 of the load test.
    pub binary: String,
    /// Text of the signature of the load test.
    pub signature: Option<String>,
    /// SHA-256 of each file of test data, by its name.
    pub data: BTreeMap<String, String>,
    /// ID of the run that the job is a part of.
    pub run: String,
    /// Name of this part of the run.
    pub agent: String,
    /// Share of the run's load.
    pub share: Share,
    /// True if the job waits for its start once it is ready.
    pub hold: bool,
    /// Time within which the client must renew the job's lease, if it has one.
    pub lease: Option<Duration>,
    /// ID of this request: the client sends the same one if it repeats the request.
    pub request: Option<String>,
    /// Parameters (environment variables) of the load test.
    pub params: Params,
    /// Thresholds as text.
    pub thresholds: Vec<String>,
    /// Number of worker threads; 0 means one per core.
    pub workers: u32,
    /// Seed of random choices.
    pub seed: u64,
    /// Plan and options of the run.
    pub call: RunCall,
    /// Resource limits of the load test.
    pub limits: LimitArgs,
}

impl Request {
    /// Parses a request. A missing run ID is generated; `agent` is the default name of the part.
    ///
    /// # Errors
    ///
    /// Returns a message with the invalid value and what was expected.
    pub fn parse(value: &Value, agent: &str) -> Result<Self, Failure> {
        let Value::Object(keys) = value else {
            return Err("expected an object: `{\"name\": …, \"binary\": …}`".into());
        };
        let text = |key: &str| match keys.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => Err(format!("`{key}`: expected a string")),
        };
        let hold = match keys.get("hold") {
            None => false,
            Some(Value::Bool(hold)) => *hold,
            Some(_) => return Err("`hold`: expected true or false".into()),
        };
        let name = text("name")?.unwrap_or_else(|| NAMELESS.to_owned());
        if name.chars().count() > 200 || name.chars().any(char::is_control) {
            return Err("`name` has control characters or more than 200 characters".into());
        }
        let (call, limits, params) = call(keys)?;
        let share = share(keys.get("share"))?;
        check_connections(&call, share)?;
        Ok(Self {
            name,
            binary: text("binary")?.ok_or("`binary` is missing: expected the hash that `/upload` returned")?,
            signature: text("signature")?,
            data: data(keys.get("data"))?,
            run: id(text("run")?.unwrap_or_else(golo::new_sequence_id), "run")?,
            agent: part(text("agent")?.unwrap_or_else(|| agent.to_owned()))?,
            share,
            hold,
            lease: keys.get("lease").map(|value| lease(value, LONGEST)).transpose()?,
            request: text("request")?.map(|text| id(text, "request")).transpose()?,
            params,
            thresholds: texts(keys.get("threshold")),
            workers: number(keys.get("workers")),
            seed: number(keys.get("seed")),
            call,
            limits,
        })
    }
}

/// Parses the keys of a job file. Returns the plan and options, the resource limits and the load test's parameters.
fn call(keys: &Map<String, Value>) -> Result<(RunCall, LimitArgs, Params), Failure> {
    let mut job = keys.clone();
    OWN.iter().for_each(|key| _ = job.remove(*key));
    let is_elsewhere = |key: &&String| ELSEWHERE.contains(&key.replace('_', "-").as_str());
    if let Some(key) = job.keys().find(is_elsewhere) {
        return Err(
            format!("`{key}` is not possible in a job of an agent: it concerns the client or the whole run").into()
        );
    }
    let mut file = JobFile::of_value(&(&Value::Object(job)).into()).map_err(|mistake| mistake.to_string())?;
    // Unlike those of a job file, these parameters override the agent's environment.
    let params = std::mem::take(&mut file.params);
    if let Some((key, _)) = params.iter().find(|(key, _)| key.starts_with(OURS)) {
        return Err(format!("`env` has `{key}`: names that begin with `{OURS}` are reserved").into());
    }
    if params.iter().any(|(key, value)| key.is_empty() || key.contains(['=', '\0']) || value.contains('\0')) {
        return Err("`env` has an invalid variable: its name is empty or has a `=`, or it has a zero byte".into());
    }
    let (call, limits) = file.into_call()?;
    Ok((call, limits, params))
}

/// Reads the files of test data. Their names are validated here too, since a client could be any program.
fn data(value: Option<&Value>) -> Result<BTreeMap<String, String>, Failure> {
    let expected = || "`data`: expected files with the hashes that `/files` returned: `{\"accounts.csv\": \"…\"}`";
    let files = match value {
        None => return Ok(BTreeMap::new()),
        Some(value) => value.as_object().ok_or_else(expected)?,
    };
    let (mut data, mut names) = (BTreeMap::new(), Vec::new());
    for (name, hash) in files {
        let hash = hash.as_str().ok_or_else(expected)?;
        let file: DataFile = name.parse().map_err(|error| format!("`data`: `{}`: {error}", printable(name)))?;
        if file.name() != name {
            return Err(format!("`data`: expected `{file}` in place of `{name}`").into());
        }
        data.insert(name.clone(), hash.to_owned());
        names.push(file);
    }
    DataFile::check_names(&names).map_err(|error| format!("`data`: {error}"))?;
    Ok(data)
}

/// Returns the beginning of a text, without control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect()
}

/// Checks that a part of the run has a connection, if all users share a number of connections.
fn check_connections(call: &RunCall, share: Share) -> Result<(), Failure> {
    match call.transport().connections {
        Some(Connections::Number(number)) if share.count(number.get().into()) == 0 => {
            let (part, of) = (share.index() + 1, share.of());
            Err(format!("`connections` of {number} has no connection for part {part} of {of}").into())
        }
        _ => Ok(()),
    }
}

/// Validates an ID that is used in URLs.
fn id(text: String, key: &str) -> Result<String, Failure> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text == LATEST {
        return Err(format!("`{key}` is `{LATEST}`, which means the newest run: set another ID").into());
    }
    if text.len() > 64 || !text.chars().all(is_fine) || text.starts_with('.') {
        return Err(format!(
            "`{key}`: expected at most 64 letters, digits, `-`, `_` and `.`, and no `.` at the beginning"
        )
        .into());
    }
    Ok(text)
}

/// Validates the name of a part: a name, or an agent's address such as `10.0.0.1:8081` or `[::1]:8081`.
fn part(text: String) -> Result<String, Failure> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '[' | ']');
    if text.len() > 128 || !text.chars().all(is_fine) || text.starts_with('.') {
        return Err(
            "`agent`: expected a name or HOST:PORT of at most 128 letters, digits, `-`, `_`, `.`, `:`, `[` and `]`, \
             and no `.` at the beginning"
                .into(),
        );
    }
    Ok(text)
}

fn share(value: Option<&Value>) -> Result<Share, Failure> {
    let Some(value) = value else { return Ok(Share::WHOLE) };
    let part = |key: &str| value.get(key).and_then(Value::as_u64);
    let share = match (part("index"), part("of")) {
        (Some(index), Some(of)) if of <= MAX_PARTS && value.as_object().is_some_and(|keys| keys.len() == 2) => {
            Share::new(index, of)
        }
        _ => None,
    };
    share.ok_or_else(|| {
        "`share`: expected the index of the part, from 0, and their number: `{\"index\": 0, \"of\": 3}`".into()
    })
}

/// Reads a lease of at most `longest`: a time such as `10s`, or a number of seconds.
///
/// # Errors
///
/// Returns a message with the invalid value and what was expected.
pub(super) fn lease(value: &Value, longest: Duration) -> Result<Duration, Failure> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (least, most) = (duration(SHORTEST), duration(longest));
    match parse_duration(&text) {
        Ok(lease) if (SHORTEST..=longest).contains(&lease) => Ok(lease),
        _ => Err(format!("`lease` is {}: expected a time from {least} to {most}, as 10s", printable(&text)).into()),
    }
}

/// Returns a value that is a string or a list of strings. Other types were refused before.
fn texts(value: Option<&Value>) -> Vec<String> {
    let values = match value {
        Some(Value::Array(values)) => &values[..],
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Returns a value that is a number, or a number in a string. Other values were refused before.
fn number<N: std::str::FromStr + Default>(value: Option<&Value>) -> N {
    let text = value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn request_of_go_lo_is_parsed() {
        let job = json!({"name": "simple_job_runner", "users": 10, "duration": 30, "binary": "b"});
        let job = Request::parse(&job, "here").unwrap();
        assert_eq!(job.call.plan().to_string(), "10 users for 30s");
        assert_eq!((job.name.as_str(), job.agent.as_str(), job.share), ("simple_job_runner", "here", Share::WHOLE));
    }

    #[test]
    fn missing_values_have_the_defaults_of_the_model() {
        let plan = |job| Request::parse(&job, "here").map(|job| (job.name, job.call.plan().peak_users())).unwrap();
        assert_eq!(plan(json!({"binary": "b"})), ("dead_letter".to_owned(), 25));
        assert_eq!(plan(json!({"binary": "b", "rate": "5/s", "max_users": 7})).1, 7);
        assert_eq!(plan(json!({"binary": "b", "stage": ["1s:3", "2s:0"]})).1, 3);
    }

    #[test]
    fn invalid_request_is_refused_with_a_reason() {
        for (job, expected) in [
            (json!([]), "expected an object"),
            (json!({}), "`binary` is missing"),
            (json!({"binary": "b", "user": 3}), "`user` is not the name of a flag of `run`; did you mean `users`?"),
            (json!({"binary": "b", "colour": 3}), "`colour` is not the name of a flag of `run`"),
            (json!({"binary": "b", "users": "many"}), "`users`: invalid digit found in string"),
            (json!({"binary": "b", "users": [1]}), "`users`: expected a string or a number"),
            (json!({"binary": "b", "users": 1, "rate": "5/s"}), "`--users` and `--rate` are two kinds of plan"),
            (json!({"binary": "b", "insecure": 1}), "`insecure`: expected true or false"),
            (json!({"binary": "b", "out": "html=/etc/passwd"}), "`out` is not possible in a job of an agent"),
            (json!({"binary": "b", "file": "/etc/passwd"}), "`file` is not possible in a job of an agent"),
            (json!({"binary": "b", "abort_on_fail": true}), "`abort_on_fail` is not possible in a job of an agent"),
            (
                json!({"binary": "b", "connections": 2, "share": {"index": 2, "of": 3}}),
                "`connections` of 2 has no connection for part 3 of 3",
            ),
            (json!({"binary": "b", "connections": "per user"}), "`connections`: expected `per-user`"),
            (json!({"binary": "b", "resolve": ["a:1"]}), "`resolve`: expected HOST:PORT:ADDRESS"),
            (json!({"binary": "b", "run": "../../etc"}), "`run`: expected at most 64 letters"),
            (json!({"binary": "b", "run": "latest"}), "`run` is `latest`"),
            (json!({"binary": "b", "agent": ".."}), "`agent`: expected a name or HOST:PORT"),
            (json!({"binary": "b", "share": {"index": 3, "of": 3}}), "`share`: expected the index"),
            (json!({"binary": "b", "share": {"index": 0, "of": 3, "x": 1}}), "`share`: expected the index"),
            (json!({"binary": "b", "lease": "soon"}), "`lease` is soon: expected a time from 1s to 1h, as 10s"),
            (json!({"binary": "b", "lease": 0.5}), "`lease` is 0.5: expected a time from 1s to 1h"),
            (json!({"binary": "b", "lease": "2h"}), "`lease` is 2h: expected a time from 1s to 1h"),
            (json!({"binary": "b", "lease": null}), "`lease` is null: expected a time"),
            (json!({"binary": "b", "request": "a/b"}), "`request`: expected at most 64 letters"),
            (json!({"binary": "b", "env": {"GOLO_ADDR": "x"}}), "`env` has `GOLO_ADDR`"),
            (json!({"binary": "b", "env": {"A=B": "x"}}), "`env` has an invalid variable"),
            (json!({"binary": "b", "env": [1]}), "`env`: expected"),
            (json!({"binary": "b", "data": ["a.csv"]}), "`data`: expected files with the hashes"),
            (json!({"binary": "b", "data": {"a.csv": 3}}), "`data`: expected files with the hashes"),
            (
                json!({"binary": "b", "data": {"../a.csv": "h"}}),
                "`data`: `../a.csv`: expected the path of a file below",
            ),
            (
                json!({"binary": "b", "data": {"a/../../b": "h"}}),
                "`data`: `a/../../b`: expected the path of a file below",
            ),
            (
                json!({"binary": "b", "data": {"/etc/passwd": "h"}}),
                "`data`: `/etc/passwd`: expected the path of a file below",
            ),
            (
                json!({"binary": "b", "data": {"a\u{1b}": "h"}}),
                "`data`: `a `: the name of a file of test data has control",
            ),
            (json!({"binary": "b", "data": {"./a": "h"}}), "`data`: expected `a` in place of `./a`"),
            (
                json!({"binary": "b", "data": {"a": "h", "a/b": "h"}}),
                "`data`: `a` cannot be both a file and the folder",
            ),
            (json!({"binary": "b", "max-memory": "a lot"}), "`max-memory`: expected a number of bytes"),
            (json!({"binary": "b", "name": "a\nb"}), "`name` has control characters"),
        ] {
            let error = Request::parse(&job, "here").unwrap_err().to_string();
            assert!(error.starts_with(expected), "{job}: {error}");
        }
    }
}
