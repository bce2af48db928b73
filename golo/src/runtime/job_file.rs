//! Job files: what `run` may be told by a file. TOML with the names of the flags as keys, or a job as go-lo writes it.

use std::{
    fmt::Write as _,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::run_args::{Flag, RunArgs, flags};
use crate::nearest::nearest;

/// The keys of a go-lo job's schema.
const GO_LO: [&str; 3] = ["name", "users", "duration"];
/// The table of parameters.
const ENV: &str = "env";
/// The load test that `golo run` is to run.
const BINARY: &str = "binary";

/// What a job file says.
#[derive(Debug, Default)]
pub(super) struct JobFile {
    pub(super) args: RunArgs,
    /// Parameters for `golo::param`.
    pub(super) params: Vec<(String, String)>,
    /// The load test, for `golo run`: beside the file, unless it says otherwise.
    pub(super) binary: Option<PathBuf>,
}

impl JobFile {
    /// Reads one; flags that are `off` stay so, whatever it says.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or is no job: what is wrong, where, and what was expected.
    pub(super) fn read(path: &Path, off: &[String]) -> Result<Self, String> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("`{name}` cannot be read: {error}"))?;
        let mut file = Self::parse(&text, off).map_err(|wrong| wrong.shown(&name.to_string(), &text))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        file.binary = file.binary.map(|binary| folder.join(binary));
        Ok(file)
    }

    fn parse(text: &str, off: &[String]) -> Result<Self, Wrong> {
        let table = DeTable::parse(text).map_err(|error| {
            let place = error.span().unwrap_or(text.len()..text.len());
            Wrong { place, message: error.message().trim_end().replace('\n', ", ") }
        })?;
        let table = table.into_inner();
        if table.contains_key("schema") { Self::of_go_lo(&table) } else { Self::of_flags(&table, off) }
    }

    fn of_flags(table: &DeTable<'_>, off: &[String]) -> Result<Self, Wrong> {
        let flags = flags();
        let mut arguments = Vec::new();
        let (mut params, mut binary) = (Vec::new(), None);
        for (key, value) in table {
            match &**key.get_ref() {
                ENV => {
                    params = pairs(value)?;
                    continue;
                }
                BINARY => {
                    binary = Some(path(value)?);
                    continue;
                }
                _ => {}
            }
            let name = key.get_ref().replace('_', "-");
            // A file in a file would be one too many.
            let Some(flag) = flags.iter().find(|flag| flag.name == name && name != "file") else {
                let known = flags.iter().map(|flag| &*flag.name).chain([ENV, BINARY]);
                return Err(unknown(key, known, "a flag of `run` without its dashes"));
            };
            let said = arguments_of(flag, value)?;
            if !off.contains(&flag.name) {
                arguments.extend(said);
            }
        }
        let args = RunArgs::parse(&arguments).map_err(|message| Wrong { place: 0..0, message })?;
        Ok(Self { args, params, binary })
    }

    /// `type = "job"`, and what to run in `[schema]`.
    fn of_go_lo(table: &DeTable<'_>) -> Result<Self, Wrong> {
        let mut arguments = Vec::new();
        let flags = flags();
        for (key, value) in table {
            match (&**key.get_ref(), value.get_ref()) {
                ("type", DeValue::String(kind)) if kind == "job" => {}
                ("type", _) => return Err(Wrong::at(value, "expected `type = \"job\"`".to_owned())),
                ("schema", DeValue::Table(schema)) => {
                    for (key, value) in schema {
                        let name = &**key.get_ref();
                        let flag = flags.iter().find(|flag| flag.name == name && GO_LO.contains(&name));
                        let flag = flag.ok_or_else(|| unknown(key, GO_LO, "a key of a go-lo job"))?;
                        arguments.extend(arguments_of(flag, value)?);
                    }
                }
                ("schema", _) => return Err(Wrong::at(value, "expected a table, `[schema]`".to_owned())),
                _ => return Err(unknown(key, ["type", "schema"], "a key of a go-lo job, beside `[schema]`")),
            }
        }
        let args = RunArgs::parse(&arguments).map_err(|message| Wrong { place: 0..0, message })?;
        Ok(Self { args, ..Self::default() })
    }
}

/// A mistake in a file, and where it is.
#[derive(Debug)]
struct Wrong {
    place: Range<usize>,
    message: String,
}

impl Wrong {
    fn at<T>(value: &Spanned<T>, message: String) -> Self {
        Self { place: value.span(), message }
    }

    /// In words, with the line it is in.
    fn shown(&self, name: &str, text: &str) -> String {
        let Self { place: Range { start, end }, message } = self;
        let before = text.get(..*start).unwrap_or(text);
        let number = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        let line = text.lines().nth(number - 1).unwrap_or_default();
        let rest = line.chars().count().saturating_sub(column);
        let length = text.get(*start..*end).map_or(1, |wrong| wrong.chars().count()).clamp(1, rest.max(1));
        let mut shown = format!("`{name}`, line {number}: {message}");
        if *start < *end {
            let margin = " ".repeat(number.to_string().len());
            let _ = write!(shown, "\n  {number} | {line}\n  {margin} | {}{}", " ".repeat(column), "^".repeat(length));
        }
        // Nothing in a file moves the cursor or colours the terminal.
        shown.replace(|c: char| c.is_control() && c != '\n', " ")
    }
}

/// The arguments that a key's value stands for.
fn arguments_of(flag: &Flag, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, Wrong> {
    let values = match value.get_ref() {
        DeValue::Array(values) if flag.is_repeated => values.iter().collect(),
        _ => vec![value],
    };
    values.into_iter().filter_map(|value| argument(flag, value).transpose()).collect()
}

/// One argument; none for a flag that is off.
fn argument(flag: &Flag, value: &Spanned<DeValue<'_>>) -> Result<Option<String>, Wrong> {
    let name = &flag.name;
    let argument = match (value.get_ref(), flag.takes_value) {
        (DeValue::Boolean(true), false) => format!("--{name}"),
        (DeValue::Boolean(false), false) => return Ok(None),
        (_, false) => return Err(Wrong::at(value, format!("`{name}` is true or false"))),
        (scalar, true) => match text(scalar) {
            Some(text) => format!("--{name}={text}"),
            None => {
                let or_list = if flag.is_repeated { ", or a list of them" } else { "" };
                return Err(Wrong::at(value, format!("`{name}` is a string or a number{or_list}")));
            }
        },
    };
    let wrong = |message| Wrong::at(value, format!("`{name}`: {message}"));
    RunArgs::parse(std::slice::from_ref(&argument)).map_err(wrong)?;
    Ok(Some(argument))
}

/// A string or a number as it would be written on the command line.
fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            let read = i128::from_str_radix(number.as_str(), number.radix());
            Some(read.map_or_else(|_| number.to_string(), |number| number.to_string()))
        }
        DeValue::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

fn path(value: &Spanned<DeValue<'_>>) -> Result<PathBuf, Wrong> {
    match value.get_ref() {
        DeValue::String(path) => Ok(PathBuf::from(&**path)),
        _ => Err(Wrong::at(value, format!("`{BINARY}` is a string: the path of a load test, or of its crate"))),
    }
}

/// The parameters in a table.
fn pairs(value: &Spanned<DeValue<'_>>) -> Result<Vec<(String, String)>, Wrong> {
    let DeValue::Table(table) = value.get_ref() else {
        return Err(Wrong::at(value, "expected a table, `[env]`, of parameters".to_owned()));
    };
    let pair = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let text = match value.get_ref() {
            DeValue::Boolean(is) => Some(is.to_string()),
            scalar => text(scalar),
        };
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        match text {
            Some(text) => Ok((key.to_string(), text)),
            None => Err(Wrong::at(value, format!("`{key}` is a string, a number, true or false"))),
        }
    };
    table.iter().map(pair).collect()
}

fn unknown<'k>(
    key: &Spanned<std::borrow::Cow<'_, str>>,
    known: impl IntoIterator<Item = &'k str>,
    expected: &str,
) -> Wrong {
    let name = key.get_ref();
    let meant = nearest(name, known).map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    Wrong::at(key, format!("`{name}` is not {expected}{meant}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::run_args::tests::plan_of;

    fn read(text: &str) -> Result<JobFile, String> {
        JobFile::parse(text, &[]).map_err(|wrong| wrong.shown("job.toml", text))
    }

    #[track_caller]
    fn assert_wrong(text: &str, expected: &str) {
        assert_eq!(read(text).unwrap_err(), expected);
    }

    #[test]
    fn keys_are_the_flags_of_run() {
        let file = "users = 50\nduration = 30\nwarm-up = '5s'\ngraceful_stop = '1m'\nquiet = true\ninsecure = false\n\
                    [env]\nTARGET_URL = 'http://127.0.0.1:1/'\nITEMS = 7\nSLOW = true\n";
        let file = read(file).unwrap();
        assert_eq!(plan_of(file.args), plan_of(RunArgs::parse(&args("-u 50 -d 30s --warm-up 5s")).unwrap()));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut params = file.params;
        params.sort();
        assert_eq!(params, [pair("ITEMS", "7"), pair("SLOW", "true"), pair("TARGET_URL", "http://127.0.0.1:1/")]);
    }

    #[test]
    fn a_load_test_is_beside_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.toml");
        for (binary, expected) in [("front", folder.path().join("front")), ("/bin/true", "/bin/true".into())] {
            std::fs::write(&path, format!("binary = '{binary}'\nusers = 3\n")).unwrap();
            assert_eq!(JobFile::read(&path, &[]).unwrap().binary, Some(expected));
        }
        assert!(read("binary = 7").unwrap_err().contains("`binary` is a string"));
    }

    #[test]
    fn numbers_are_what_they_are_however_they_are_written() {
        let asked = plan_of(RunArgs::parse(&args("-u 16 -i 1000")).unwrap());
        assert_eq!(plan_of(read("users = 0x10\niterations = 1_000").unwrap().args), asked);
        assert_eq!(plan_of(read("users = 0b10000\niterations = 0o1750").unwrap().args), asked);
    }

    #[test]
    fn nothing_in_a_mistake_moves_the_cursor() {
        let error = read("users = 5\n\"a\\u001b[31m\" = 1\n").unwrap_err();
        assert!(error.contains("`a [31m` is not a flag"), "{error}");
        let error = read("users = '\u{9b}2J'").unwrap_err();
        assert!(!error.contains('\u{9b}'), "{error}");
    }

    #[test]
    fn what_may_be_repeated_may_be_a_list() {
        let asked = plan_of(RunArgs::parse(&args("-s 30s:10,1m:0")).unwrap());
        for text in ["stage = ['30s:10', '1m:0']", "stage = '30s:10,1m:0'"] {
            assert_eq!(plan_of(read(text).unwrap().args), asked);
        }
    }

    #[test]
    fn a_job_of_go_lo_is_read_as_it_is() {
        let file = "type = \"job\"\n[schema]\nname = \"simple_job_runner\"\nusers = 10\nduration = 30\n";
        let asked = RunArgs::parse(&args("-u 10 -d 30 --name simple_job_runner")).unwrap();
        assert_eq!(plan_of(read(file).unwrap().args), plan_of(asked));
        assert_wrong(
            "type = 'job'\n[schema]\nuser = 10\n",
            "`job.toml`, line 3: `user` is not a key of a go-lo job; did you mean `users`?\n  3 | user = 10\n    | ^^^^",
        );
    }

    #[test]
    fn a_mistake_is_shown_where_it_is() {
        assert_wrong(
            "users = 5\nduratoin = '30s'\n",
            "`job.toml`, line 2: `duratoin` is not a flag of `run` without its dashes; did you mean `duration`?\n  \
             2 | duratoin = '30s'\n    | ^^^^^^^^",
        );
        assert_wrong(
            "# é\nusers = 'many'\n",
            "`job.toml`, line 2: `users`: invalid digit found in string\n  2 | users = 'many'\n    |         ^^^^^^",
        );
        assert_wrong("quiet = 1", "`job.toml`, line 1: `quiet` is true or false\n  1 | quiet = 1\n    |         ^");
        assert_wrong(
            "users = [1]",
            "`job.toml`, line 1: `users` is a string or a number\n  1 | users = [1]\n    |         ^^^",
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
