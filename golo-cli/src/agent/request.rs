//! What a job is to be, as `POST /queue` has it: the keys of `run`, and what an agent needs beside them.

use golo::{
    cli::{JobFile, RunCall},
    engine::share::Share,
};
use serde_json::{Map, Value};

use crate::{process::limits::LimitArgs, results::store::MAX_PARTS, support::failure::Failure};

/// What a job is called that has no name.
const NAMELESS: &str = "dead_letter";
/// Keys that are an agent's own.
const OWN: [&str; 5] = ["binary", "run", "agent", "share", "hold"];
/// Flags of `run` about files and screens of whoever runs it, and about the run as a whole.
const ELSEWHERE: [&str; 5] = ["out", "file", "quiet", "no-progress", "abort-on-fail"];
/// What no run can be called.
const LATEST: &str = "latest";
/// Variables that are golo's own.
const OURS: &str = "GOLO_";

/// Keys and values.
type Params = Vec<(String, String)>;

/// A job as it was asked for.
#[derive(Debug)]
pub struct Request {
    /// The job's name.
    pub name: String,
    /// The load test's hash.
    pub binary: String,
    /// The run that it is a part of.
    pub run: String,
    /// What this part is called.
    pub agent: String,
    /// Which part it is.
    pub share: Share,
    /// Whether it waits to be started once it is ready.
    pub hold: bool,
    /// Parameters of the load test.
    pub params: Params,
    /// What it must keep to, as it was written.
    pub thresholds: Vec<String>,
    /// Threads; 0 is one a core.
    pub workers: u32,
    /// What random choices depend on.
    pub seed: u64,
    /// What is to be delivered, and how.
    pub call: RunCall,
    /// What the load test may use of the machine.
    pub limits: LimitArgs,
}

impl Request {
    /// Reads one. What is not said of the run is made up, and `agent` is what the part is called then.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what would be right.
    pub fn parse(value: &Value, agent: &str) -> Result<Self, Failure> {
        let Value::Object(keys) = value else {
            return Err("expected an object: `{\"name\": …, \"binary\": …}`".into());
        };
        let text = |key: &str| match keys.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => Err(format!("`{key}` is a string")),
        };
        let hold = match keys.get("hold") {
            None => false,
            Some(Value::Bool(hold)) => *hold,
            Some(_) => return Err("`hold`: expected true or false".into()),
        };
        let name = text("name")?.unwrap_or_else(|| NAMELESS.to_owned());
        if name.chars().count() > 200 || name.chars().any(char::is_control) {
            return Err("`name` has control characters, or more than 200 characters".into());
        }
        let (call, limits, params) = call(keys)?;
        Ok(Self {
            name,
            binary: text("binary")?.ok_or("`binary` is missing: what `/upload` answered")?,
            run: id(text("run")?.unwrap_or_else(golo::new_sequence_id), "run")?,
            agent: part(text("agent")?.unwrap_or_else(|| agent.to_owned()))?,
            share: share(keys.get("share"))?,
            hold,
            params,
            thresholds: texts(keys.get("threshold")),
            workers: number(keys.get("workers")),
            seed: number(keys.get("seed")),
            call,
            limits,
        })
    }
}

/// What is to be delivered, of the keys that are those of `run`; and the parameters of the load test.
fn call(keys: &Map<String, Value>) -> Result<(RunCall, LimitArgs, Params), String> {
    let mut job = keys.clone();
    OWN.iter().for_each(|key| _ = job.remove(*key));
    let is_elsewhere = |key: &&String| ELSEWHERE.contains(&key.replace('_', "-").as_str());
    if let Some(key) = job.keys().find(is_elsewhere) {
        return Err(format!("`{key}` makes no sense at an agent: it is for whoever asks for the run"));
    }
    let mut file = JobFile::of_value(&(&Value::Object(job)).into()).map_err(|mistake| mistake.to_string())?;
    // They come before the agent's own variables, which those of a file do not.
    let params = std::mem::take(&mut file.params);
    if let Some((key, _)) = params.iter().find(|(key, _)| key.starts_with(OURS)) {
        return Err(format!("`env` has `{key}`: what begins with `{OURS}` is golo's own"));
    }
    if params.iter().any(|(key, value)| key.is_empty() || key.contains(['=', '\0']) || value.contains('\0')) {
        return Err("`env` has what no variable can be: a key that is empty or has a `=`, or a zero byte".to_owned());
    }
    let (call, limits) = file.into_call()?;
    Ok((call, limits, params))
}

/// A name that stands in URLs.
fn id(text: String, key: &str) -> Result<String, String> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text == LATEST {
        return Err(format!("`{key}` is `{LATEST}`, which is what the newest run is called: give another"));
    }
    if text.len() > 64 || !text.chars().all(is_fine) || text.starts_with('.') {
        return Err(format!(
            "`{key}` has at most 64 letters, digits, `-`, `_` and `.`, and does not begin with one of the last"
        ));
    }
    Ok(text)
}

/// What a part is called: a name, or where its agent is, as `10.0.0.1:8081` or `[::1]:8081`.
fn part(text: String) -> Result<String, String> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '[' | ']');
    if text.len() > 128 || !text.chars().all(is_fine) || text.starts_with('.') {
        return Err(
            "`agent` is a name or HOST:PORT: at most 128 letters, digits, `-`, `_`, `.`, `:`, `[` and `]`, and does \
                    not begin with `.`"
                .to_owned(),
        );
    }
    Ok(text)
}

fn share(value: Option<&Value>) -> Result<Share, String> {
    let Some(value) = value else { return Ok(Share::WHOLE) };
    let part = |key: &str| value.get(key).and_then(Value::as_u64);
    let share = match (part("index"), part("of")) {
        (Some(index), Some(of)) if of <= MAX_PARTS && value.as_object().is_some_and(|keys| keys.len() == 2) => {
            Share::new(index, of)
        }
        _ => None,
    };
    share.ok_or_else(|| "`share` is which part it is of how many, from 0: `{\"index\": 0, \"of\": 3}`".to_owned())
}

/// A string, or several. What is none has been refused.
fn texts(value: Option<&Value>) -> Vec<String> {
    let values = match value {
        Some(Value::Array(values)) => &values[..],
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A number, as a number or in a string. What is none has been refused.
fn number<N: std::str::FromStr + Default>(value: Option<&Value>) -> N {
    let text = value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_go_lo_sends_is_a_job() {
        let job = json!({"name": "simple_job_runner", "users": 10, "duration": 30, "binary": "b"});
        let job = Request::parse(&job, "here").unwrap();
        assert_eq!(job.call.plan().to_string(), "10 users for 30s");
        assert_eq!((job.name.as_str(), job.agent.as_str(), job.share), ("simple_job_runner", "here", Share::WHOLE));
    }

    #[test]
    fn what_is_not_said_has_a_default_for_its_model() {
        let plan = |job| Request::parse(&job, "here").map(|job| (job.name, job.call.plan().peak_users())).unwrap();
        assert_eq!(plan(json!({"binary": "b"})), ("dead_letter".to_owned(), 25));
        assert_eq!(plan(json!({"binary": "b", "rate": "5/s", "max_users": 7})).1, 7);
        assert_eq!(plan(json!({"binary": "b", "stage": ["1s:3", "2s:0"]})).1, 3);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (job, expected) in [
            (json!([]), "expected an object"),
            (json!({}), "`binary` is missing"),
            (json!({"binary": "b", "user": 3}), "`user` is not the name of a flag of `run`; did you mean `users`?"),
            (json!({"binary": "b", "colour": 3}), "`colour` is not the name of a flag of `run`"),
            (json!({"binary": "b", "users": "many"}), "`users`: invalid digit found in string"),
            (json!({"binary": "b", "users": [1]}), "`users`: expected a string or a number"),
            (json!({"binary": "b", "users": 1, "rate": "5/s"}), "`--users` and `--rate` are two kinds of plan"),
            (json!({"binary": "b", "insecure": 1}), "`insecure`: expected true or false"),
            (json!({"binary": "b", "out": "html=/etc/passwd"}), "`out` makes no sense at an agent"),
            (json!({"binary": "b", "file": "/etc/passwd"}), "`file` makes no sense at an agent"),
            (json!({"binary": "b", "abort_on_fail": true}), "`abort_on_fail` makes no sense at an agent"),
            (json!({"binary": "b", "run": "../../etc"}), "`run` has at most 64 letters"),
            (json!({"binary": "b", "run": "latest"}), "`run` is `latest`"),
            (json!({"binary": "b", "agent": ".."}), "`agent` is a name or HOST:PORT"),
            (json!({"binary": "b", "share": {"index": 3, "of": 3}}), "`share` is which part"),
            (json!({"binary": "b", "share": {"index": 0, "of": 3, "x": 1}}), "`share` is which part"),
            (json!({"binary": "b", "env": {"GOLO_ADDR": "x"}}), "`env` has `GOLO_ADDR`"),
            (json!({"binary": "b", "env": {"A=B": "x"}}), "`env` has what no variable can be"),
            (json!({"binary": "b", "env": [1]}), "`env` is"),
            (json!({"binary": "b", "max-memory": "a lot"}), "`max-memory`: expected bytes"),
            (json!({"binary": "b", "name": "a\nb"}), "`name` has control characters"),
        ] {
            let error = Request::parse(&job, "here").unwrap_err().to_string();
            assert!(error.starts_with(expected), "{job}: {error}");
        }
    }
}
