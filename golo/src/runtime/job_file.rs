//! Job files: settings of `run` with the names of flags as keys, or a job file of go-lo.

mod toml;
mod value;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

pub use self::toml::toml;
pub use self::value::{Key, Kind, Mistake, Value};
use super::run_args::{Flag, OwnFlags, RunArgs, flags};
use crate::engine::plan::ScenarioArg;
use crate::report::Threshold;
use crate::run_loop::RunCall;
use crate::support::{nearest::nearest, setting_error::SettingError};

/// Key of the table of parameters.
const ENV: &str = "env";
/// Key of the tables of scenarios.
const SCENARIO: &str = "scenario";
/// Key of a scenario's thresholds.
const THRESHOLD: &str = "threshold";
/// Key of the load test that `golo run` starts.
const BINARY: &str = "binary";

/// A format of go-lo's job files: a kind, and a table with the job.
struct GoLo {
    kind: (&'static str, &'static str),
    /// The kind as it is written.
    shown: &'static str,
    table: &'static str,
}

/// The formats in TOML and in YAML.
const GO_LO: [GoLo; 2] = [
    GoLo { kind: ("type", "job"), shown: "type = \"job\"", table: "schema" },
    GoLo { kind: ("version", "job:latest"), shown: "version: job:latest", table: "job" },
];
/// Keys of that table.
const GO_LO_KEYS: [&str; 3] = ["name", "users", "duration"];

/// Contents of a job file. `T` is the flags that a command has in addition to those of `run`.
#[derive(Debug, Default)]
pub struct JobFile<T: OwnFlags = ()> {
    /// Values of flags.
    pub args: RunArgs<T>,
    /// Parameters for `golo::param`.
    pub params: Vec<(String, String)>,
    /// Load test for `golo run`. A relative path starts at the job file's folder.
    pub binary: Option<PathBuf>,
}

impl<T: OwnFlags> JobFile<T> {
    /// Reads a job from `value`.
    ///
    /// # Errors
    ///
    /// Returns the mistake, its position and what was expected if `value` is not a job.
    pub fn of_value(value: &Value) -> Result<Self, Mistake> {
        Self::of_value_without(value, &[])
    }

    /// Completes the settings with the defaults only.
    ///
    /// # Errors
    ///
    /// Returns an error if the settings contradict each other.
    pub fn into_call(self) -> Result<(RunCall, T), SettingError> {
        let Self { args, params, binary } = self;
        args.into_call_with_params(params, binary)
    }

    /// Reads a job file. `parse` parses its text. Flags in `off` stay off, whatever the file sets.
    pub(super) fn read(
        path: &Path,
        off: &[String],
        parse: impl FnOnce(&Path, &str) -> Result<Value, Mistake>,
    ) -> Result<Self, SettingError> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("`{name}` cannot be read: {error}"))?;
        let read = parse(path, &text).and_then(|value| Self::of_value_without(&value, off));
        let mut file = read.map_err(|mistake| mistake.shown(&name.to_string(), &text))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        file.binary = file.binary.map(|binary| folder.join(binary));
        Ok(file)
    }

    fn of_value_without(value: &Value, off: &[String]) -> Result<Self, Mistake> {
        let table = value.table().ok_or_else(|| value.mistake("expected keys with values"))?;
        let go_lo = GO_LO.iter().find(|go_lo| table.iter().any(|(key, _)| key.name == go_lo.table));
        match go_lo {
            Some(go_lo) => Self::of_go_lo(table, go_lo),
            None => Self::of_flags(table, off),
        }
    }

    fn of_flags(table: &[(Key, Value)], off: &[String]) -> Result<Self, Mistake> {
        let flags = flags::<T>();
        let mut arguments = Vec::new();
        let (mut params, mut binary) = (Vec::new(), None);
        for (key, value) in once_each(table, flag_name)? {
            match &*key.name {
                ENV => {
                    params = pairs(value)?;
                    continue;
                }
                BINARY => {
                    binary = Some(path(value)?);
                    continue;
                }
                SCENARIO if value.table().is_some() => {
                    arguments.extend(scenarios(value)?);
                    continue;
                }
                _ => {}
            }
            let name = flag_name(key);
            // A job file cannot name another job file.
            let Some(flag) = flags.iter().find(|flag| flag.name == name && name != "file") else {
                let known = flags.iter().map(|flag| &*flag.name).chain([ENV, BINARY]);
                return Err(unknown(key, known, "the name of a flag of `run`"));
            };
            let said = arguments_of::<T>(flag, value)?;
            if !off.contains(&flag.name) {
                arguments.extend(said);
            }
        }
        let args = RunArgs::parse(&arguments).map_err(|error| Mistake::anywhere(error.to_string()))?;
        Ok(Self { args, params, binary })
    }

    fn of_go_lo(table: &[(Key, Value)], go_lo: &GoLo) -> Result<Self, Mistake> {
        let GoLo { kind: (kind, job), shown, table: schema } = *go_lo;
        let mut arguments = Vec::new();
        let flags = flags::<T>();
        for (key, value) in once_each(table, |key| key.name.clone())? {
            if key.name == kind {
                if value.kind != Kind::Text(job.to_owned()) {
                    return Err(value.mistake(format!("expected `{shown}`")));
                }
            } else if key.name == schema {
                let table = value.table().ok_or_else(|| value.mistake(format!("`{schema}`: expected a table")))?;
                for (key, value) in once_each(table, |key| key.name.clone())? {
                    let name = &*key.name;
                    let flag = flags.iter().find(|flag| flag.name == name && GO_LO_KEYS.contains(&name));
                    let flag = flag.ok_or_else(|| unknown(key, GO_LO_KEYS, "a key of a go-lo job"))?;
                    arguments.extend(arguments_of::<T>(flag, value)?);
                }
            } else {
                return Err(unknown(key, [kind, schema], &format!("a key of a go-lo job outside of `{schema}`")));
            }
        }
        let args = RunArgs::parse(&arguments).map_err(|error| Mistake::anywhere(error.to_string()))?;
        Ok(Self { args, ..Self::default() })
    }
}

/// Returns the name of the flag that a key would set.
fn flag_name(key: &Key) -> String {
    key.name.replace('_', "-")
}

/// Returns the table, unless two keys have the same name according to `named`.
fn once_each(table: &[(Key, Value)], named: impl Fn(&Key) -> String) -> Result<&[(Key, Value)], Mistake> {
    let mut names = HashSet::new();
    match table.iter().find(|(key, _)| !names.insert(named(key))) {
        Some((key, _)) => Err(mistaken(key, format!("`{}` is given twice", key.name))),
        None => Ok(table),
    }
}

/// Returns the arguments that a key's value stands for.
fn arguments_of<T: OwnFlags>(flag: &Flag, value: &Value) -> Result<Vec<String>, Mistake> {
    let values = match &value.kind {
        Kind::List(values) if flag.is_repeated => values.iter().collect(),
        _ => vec![value],
    };
    values.into_iter().filter_map(|value| argument::<T>(flag, value).transpose()).collect()
}

/// Returns one argument, or none for a flag that is off.
fn argument<T: OwnFlags>(flag: &Flag, value: &Value) -> Result<Option<String>, Mistake> {
    let name = &flag.name;
    let argument = match (&value.kind, flag.takes_value) {
        (Kind::Bool(true), false) => format!("--{name}"),
        (Kind::Bool(false), false) => return Ok(None),
        (_, false) => return Err(value.mistake(format!("`{name}`: expected true or false"))),
        (_, true) => match value.text() {
            Some(text) => format!("--{name}={text}"),
            None => {
                let or_list = if flag.is_repeated { ", or a list of them" } else { "" };
                return Err(value.mistake(format!("`{name}`: expected a string or a number{or_list}")));
            }
        },
    };
    let wrong = |message| value.mistake(format!("`{name}`: {message}"));
    RunArgs::<T>::parse(std::slice::from_ref(&argument)).map_err(wrong)?;
    Ok(Some(argument))
}

fn path(value: &Value) -> Result<PathBuf, Mistake> {
    match &value.kind {
        Kind::Text(path) => Ok(PathBuf::from(path)),
        _ => Err(value.mistake(format!("`{BINARY}`: expected a string with the path of a load test or its crate"))),
    }
}

/// Returns the arguments that a table of scenarios stands for.
fn scenarios(value: &Value) -> Result<Vec<String>, Mistake> {
    let mut arguments = Vec::new();
    for (name, settings) in once_each(value.table().unwrap_or_default(), |key| key.name.clone())? {
        let wrong = || settings.mistake(format!("`{}`: expected a table with the settings of a scenario", name.name));
        let mut pairs = Vec::new();
        for (key, value) in once_each(settings.table().ok_or_else(wrong)?, flag_name)? {
            let values = match &value.kind {
                Kind::List(values) => values.iter().map(Value::text).collect(),
                _ => value.text().map(|text| vec![text]),
            };
            let values =
                values.ok_or_else(|| value.mistake(format!("`{}`: expected a string or a number", key.name)))?;
            let joined = match flag_name(key) == THRESHOLD {
                true => values.iter().map(|value| (*value).to_owned()).collect(),
                false => vec![values.join(",")],
            };
            for value in joined {
                let pair = (key.name.clone(), value);
                check(&name.name, &pair).map_err(|error| mistaken(key, error))?;
                pairs.push(pair);
            }
        }
        if !pairs.is_empty() {
            let settings = ScenarioArg::new(&name.name, pairs).map_err(|error| settings.mistake(error.to_string()))?;
            arguments.push(format!("--{SCENARIO}={settings}"));
        }
    }
    Ok(arguments)
}

/// Checks one setting of a scenario.
fn check(scenario: &str, pair: &(String, String)) -> Result<(), String> {
    ScenarioArg::new(scenario, vec![pair.clone()]).map_err(|error| error.to_string())?;
    match &*pair.0 {
        THRESHOLD => Threshold::of_scenario_text(scenario, &pair.1).map(drop),
        _ => Ok(()),
    }
}

/// Reads the table of parameters.
fn pairs(value: &Value) -> Result<Vec<(String, String)>, Mistake> {
    let table = value.table().ok_or_else(|| value.mistake(format!("`{ENV}`: expected a table of parameters")))?;
    let pair = |(key, value): &(Key, Value)| {
        let text = match value.kind {
            Kind::Bool(is) => Some(is.to_string()),
            _ => value.text().map(str::to_owned),
        };
        let key = &key.name;
        match text {
            Some(text) => Ok((key.clone(), text)),
            None => Err(value.mistake(format!("`{key}`: expected a string, a number, true or false"))),
        }
    };
    once_each(table, |key| key.name.clone())?.iter().map(pair).collect()
}

fn unknown<'k>(key: &Key, known: impl IntoIterator<Item = &'k str>, expected: &str) -> Mistake {
    let name = &key.name;
    let meant = nearest(name, known).map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    mistaken(key, format!("`{name}` is not {expected}{meant}"))
}

fn mistaken(key: &Key, message: String) -> Mistake {
    Mistake { message, place: key.place.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::run_args::tests::plan_of;

    fn read(text: &str) -> Result<JobFile, String> {
        let file = toml(text).and_then(|value| JobFile::of_value(&value));
        file.map_err(|mistake| mistake.shown("job.toml", text))
    }

    #[track_caller]
    fn assert_wrong(text: &str, expected: &str) {
        assert_eq!(read(text).unwrap_err(), expected);
    }

    #[test]
    fn keys_set_the_flags_of_run() {
        let file = "users = 50\nduration = 30\nwarm-up = '5s'\ngraceful_stop = '1m'\nquiet = true\ninsecure = false\n\
                    [env]\nTARGET_URL = 'http://127.0.0.1:1/'\nITEMS = 7\nSLOW = true\n";
        let file = read(file).unwrap();
        assert_eq!(plan_of(file.args), plan_of(<RunArgs>::parse(&args("-u 50 -d 30s --warm-up 5s")).unwrap()));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut params = file.params;
        params.sort();
        assert_eq!(params, [pair("ITEMS", "7"), pair("SLOW", "true"), pair("TARGET_URL", "http://127.0.0.1:1/")]);
    }

    #[test]
    fn binary_is_relative_to_the_job_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.toml");
        for (binary, expected) in [("front", folder.path().join("front")), ("/bin/true", "/bin/true".into())] {
            std::fs::write(&path, format!("binary = '{binary}'\nusers = 3\n")).unwrap();
            assert_eq!(<JobFile>::read(&path, &[], |_, text| toml(text)).unwrap().binary, Some(expected));
        }
        assert!(read("binary = 7").unwrap_err().contains("`binary`: expected a string"));
    }

    #[test]
    fn numbers_may_be_written_in_any_base() {
        let asked = plan_of(<RunArgs>::parse(&args("-u 16 -i 1000")).unwrap());
        assert_eq!(plan_of(read("users = 0x10\niterations = 1_000").unwrap().args), asked);
        assert_eq!(plan_of(read("users = 0b10000\niterations = 0o1750").unwrap().args), asked);
    }

    #[test]
    fn mistake_contains_no_control_characters() {
        let error = read("users = 5\n\"a\\u001b[31m\" = 1\n").unwrap_err();
        assert!(error.contains("`a [31m` is not the name of a flag"), "{error}");
        let error = read("users = '\u{9b}2J'").unwrap_err();
        assert!(!error.contains('\u{9b}'), "{error}");
    }

    #[test]
    fn tables_of_scenarios_are_their_settings_and_thresholds() {
        let file = "users = 5\n[scenario.browse]\nweight = 9\n[scenario.buy]\nstages = ['1s:5', '2s:0']\nstart = 3\n\
                    threshold = 'iteration_duration p(95)<1s'\n";
        let (call, ()) = read(file).unwrap().into_call().unwrap();
        let settings: Vec<_> = call.scenarios().settings.iter().map(ToString::to_string).collect();
        let buy = "buy:stages=1s:5,2s:0,start=3,threshold=iteration_duration p(95)<1s";
        assert_eq!(settings, ["browse:weight=9", buy]);
        assert_wrong(
            "[scenario.buy]\nuser = 5\n",
            "`job.toml`, line 2: `user` is no setting of a scenario: did you mean `users`?\n  \
             2 | user = 5\n    | ^^^^",
        );
        assert!(
            read("[scenario]\nbuy = 5\n").unwrap_err().contains("expected a table with the settings of a scenario")
        );
        assert!(
            read("[scenario.buy]\nthreshold = 'vus max<3'\n")
                .unwrap_err()
                .contains("is not measured for each scenario")
        );
    }

    #[test]
    fn repeatable_flags_accept_a_list() {
        let asked = plan_of(<RunArgs>::parse(&args("-s 30s:10,1m:0")).unwrap());
        for text in ["stage = ['30s:10', '1m:0']", "stage = '30s:10,1m:0'"] {
            assert_eq!(plan_of(read(text).unwrap().args), asked);
        }
    }

    #[test]
    fn go_lo_job_is_read() {
        let file = "type = \"job\"\n[schema]\nname = \"simple_job_runner\"\nusers = 10\nduration = 30\n";
        let asked = <RunArgs>::parse(&args("-u 10 -d 30 --name simple_job_runner")).unwrap();
        assert_eq!(plan_of(read(file).unwrap().args), plan_of(asked));
        assert_wrong(
            "type = 'job'\n[schema]\nuser = 10\n",
            "`job.toml`, line 3: `user` is not a key of a go-lo job; did you mean `users`?\n  3 | user = 10\n    | ^^^^",
        );
    }

    #[test]
    fn json_is_read_like_a_file() {
        let read = |json: serde_json::Value| JobFile::of_value(&(&json).into());
        let file: JobFile = read(serde_json::json!({
            "name": "checkout", "users": 10, "duration": 30, "stage": ["30s:10", "1m:0"], "quiet": true,
            "insecure": false, "env": {"ITEMS": 7, "SLOW": true, "URL": "u"}, "binary": "id",
        }))
        .unwrap();
        assert_eq!((file.params.len(), file.binary.as_deref()), (3, Some(Path::new("id"))));
        let error = file.into_call().unwrap_err().to_string();
        assert!(error.starts_with("`--duration` cannot be combined with `--stage`: "), "{error}");
        let file: JobFile = read(serde_json::json!({"users": 10, "warm_up": "5s", "duration": 1.5})).unwrap();
        let (call, ()) = file.into_call().unwrap();
        assert_eq!(call.plan().to_string(), plan_of(<RunArgs>::parse(&args("-u 10 --warm-up 5s -d 1500ms")).unwrap()));
        for (json, message) in [
            (serde_json::json!({"users": -1}), "`users`: invalid digit found in string"),
            (serde_json::json!({"users": null}), "`users`: expected a string or a number"),
            (serde_json::json!({"user": 1}), "`user` is not the name of a flag of `run`; did you mean `users`?"),
            (serde_json::json!([1]), "expected keys with values"),
        ] {
            assert_eq!(read(json).map(|file: JobFile| file.params).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn mistake_is_shown_with_its_position() {
        assert_wrong(
            "users = 5\nduratoin = '30s'\n",
            "`job.toml`, line 2: `duratoin` is not the name of a flag of `run`; did you mean `duration`?\n  \
             2 | duratoin = '30s'\n    | ^^^^^^^^",
        );
        assert_wrong(
            "# é\nusers = 'many'\n",
            "`job.toml`, line 2: `users`: invalid digit found in string\n  2 | users = 'many'\n    |         ^^^^^^",
        );
        assert_wrong(
            "quiet = 1",
            "`job.toml`, line 1: `quiet`: expected true or false\n  1 | quiet = 1\n    |         ^",
        );
        assert_wrong(
            "users = [1]",
            "`job.toml`, line 1: `users`: expected a string or a number\n  1 | users = [1]\n    |         ^^^",
        );
        assert_wrong(
            "warm-up = 1\nwarm_up = 2",
            "`job.toml`, line 2: `warm_up` is given twice\n  2 | warm_up = 2\n    | ^^^^^^^",
        );
        for text in ["users = ", "users 5", "[env", "users = 1\nusers = 2"] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with("`job.toml`, line ") && !error.ends_with('\n'), "{error}");
        }
    }

    fn args(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }
}
