//! Settings of scenarios, and the plan that they make together with the load of the run.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Asked, Load, Plan, PlanError, Stage, parse_duration};
use crate::engine::mix::{Mix, Weighted};
use crate::support::nearest::instead;

/// Names of the settings.
const KEYS: [&str; 11] =
    ["weight", "start", "users", "rate", "stages", "pace", "iterations", "duration", "arrivals", "max-users", "stage"];
/// Characters that separate names and values in flags and thresholds.
const SEPARATORS: [char; 6] = [':', ',', '=', '{', '}', '"'];
/// Maximum length of a scenario's name, in characters.
pub(crate) const LONGEST_NAME: usize = 64;

/// Settings of one scenario: its weight, or a load of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScenarioSettings {
    /// Number of its triggers among as many triggers as the sum of all weights.
    pub weight: Option<u32>,
    /// Start of its own load, from the start of the measured part.
    pub start: Option<Duration>,
    /// Its own load.
    pub asked: Asked,
    /// Thresholds that its requests and triggers must pass, as text.
    pub thresholds: Vec<String>,
}

impl ScenarioSettings {
    /// Reads settings in the order in which they were made. A later one replaces an earlier one of the same key.
    ///
    /// # Errors
    ///
    /// Returns an error that names the key, the value and what was expected.
    pub fn read<K: AsRef<str>, V: AsRef<str>>(pairs: &[(K, V)]) -> Result<Self, PlanError> {
        let mut settings = Self::default();
        for (key, value) in pairs {
            settings.set(key.as_ref(), value.as_ref().trim())?;
        }
        if settings.weight.is_some() && settings.has_load() {
            return Err("`weight` has no effect for a scenario with a load of its own: remove one of them".into());
        }
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), PlanError> {
        let asked = &mut self.asked;
        let wrong = |why: String| PlanError::from(format!("`{key}={value}`: {why}"));
        let number = || value.parse::<u64>().map_err(|_| wrong("expected a whole number".to_owned()));
        let time = || parse_duration(value).map_err(|error| wrong(error.to_string()));
        match &*key.replace('_', "-") {
            "weight" => self.weight = Some(value.parse().map_err(|_| wrong("expected a whole number".to_owned()))?),
            "start" => self.start = Some(time()?),
            "users" => asked.users = Some(number()?),
            "rate" => asked.rate = Some(value.parse().map_err(|error: PlanError| wrong(error.to_string()))?),
            "pace" => asked.pace = Some(time()?),
            "iterations" => asked.iterations = Some(number()?),
            "duration" => asked.duration = Some(time()?),
            "arrivals" => asked.arrivals = Some(value.parse().map_err(|error: PlanError| wrong(error.to_string()))?),
            "max-users" => asked.max_users = Some(number()?),
            "threshold" => self.thresholds.push(value.to_owned()),
            "stage" | "stages" => {
                let stages = value.split(',').map(|stage| stage.trim().parse::<Stage>());
                asked.stages = stages.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
            }
            _ => {
                return Err(
                    format!("`{key}` is no setting of a scenario: {}", instead(key, &KEYS[..KEYS.len() - 1])).into()
                );
            }
        }
        Ok(())
    }

    /// Returns true if the scenario has a load of its own.
    #[must_use]
    pub fn has_load(&self) -> bool {
        self.start.is_some() || self.asked != Asked::default()
    }

    /// Returns these settings, completed by those of lower precedence that they do not contradict.
    fn over(self, below: Self) -> Self {
        let thresholds = [&below.thresholds[..], &self.thresholds[..]].concat();
        let above = if self.weight.is_some() {
            self
        } else if self.has_load() {
            Self { start: self.start.or(below.start), asked: self.asked.over(below.asked), ..Self::default() }
        } else {
            below
        };
        Self { thresholds, ..above }
    }

    /// Creates the scenario's own load. It takes what is not set from the load of the run.
    fn load(&self, name: &str, run: &Load, is_alone: bool) -> Result<Load, PlanError> {
        let wrong = |error: PlanError| PlanError::from(format!("in the scenario `{name}`: {error}"));
        let asked = &self.asked;
        if asked.users.is_none() && asked.rate.is_none() && asked.stages.is_empty() {
            return Err(wrong("a load of its own needs `users`, `rate` or `stages`".into()));
        }
        // Nothing else runs before a scenario that runs alone.
        let start = if is_alone { Duration::ZERO } else { self.start.unwrap_or_default() };
        let mut asked = Asked { graceful_stop: Some(run.graceful_stop()), ..asked.clone() };
        if asked.duration.is_none() && asked.stages.is_empty() && asked.iterations.is_none() {
            let Some(end) = run.duration() else {
                return Err(wrong(
                    "it has no end: set its `duration` or `iterations`, or `--duration` for the run".into(),
                ));
            };
            match end.checked_sub(start).filter(|left| !left.is_zero()) {
                Some(left) => asked.duration = Some(left),
                None => {
                    return Err(wrong(
                        format!(
                            "it starts after the end of the run, which takes {}: set `--duration` or its `duration`",
                            super::Time(end)
                        )
                        .into(),
                    ));
                }
            }
        }
        let mut load = Load::new(asked).map_err(wrong)?;
        // A load that begins with nothing has nothing to warm up with.
        if load.curve().whole_at(Duration::ZERO) > 0 {
            load.warm_up = run.warm_up();
        }
        load.of_scenarios(start, Mix::of_one(name)).map_err(wrong)
    }
}

/// Settings of a scenario, as in the flag `--scenario`: `buy:rate=10/s,start=30s`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScenarioArg {
    /// Name of the scenario.
    pub name: String,
    /// Keys and values, in order.
    pairs: Vec<(String, String)>,
}

impl ScenarioArg {
    /// Creates the settings of a scenario that has this load. Returns `None` if it asks for nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the name is invalid.
    pub fn of_load(name: &str, asked: &Asked) -> Result<Option<Self>, PlanError> {
        let time = |time: Duration| super::Time(time).to_string();
        let stages: Vec<_> = asked.stages.iter().map(ToString::to_string).collect();
        let pairs = [
            ("users", asked.users.map(|users| users.to_string())),
            ("rate", asked.rate.map(|rate| rate.to_string())),
            ("stages", (!stages.is_empty()).then(|| stages.join(","))),
            ("pace", asked.pace.map(time)),
            ("iterations", asked.iterations.map(|iterations| iterations.to_string())),
            ("duration", asked.duration.map(time)),
            ("arrivals", asked.arrivals.map(|arrivals| arrivals.to_string())),
            ("max-users", asked.max_users.map(|users| users.to_string())),
        ];
        let pairs: Vec<_> = pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        if pairs.is_empty() { Ok(None) } else { Self::new(name, pairs).map(Some) }
    }

    /// Creates settings from keys and values.
    ///
    /// # Errors
    ///
    /// Returns an error if the name or a value is invalid.
    pub fn new(name: &str, pairs: Vec<(String, String)>) -> Result<Self, PlanError> {
        check_name(name)?;
        ScenarioSettings::read(&pairs)?;
        Ok(Self { name: name.to_owned(), pairs })
    }
}

impl FromStr for ScenarioArg {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let form = || PlanError::from("expected NAME:KEY=VALUE,…, as in `buy:rate=10/s,start=30s`");
        let (name, settings) = text.split_once(':').ok_or_else(form)?;
        let mut pairs: Vec<(String, String)> = Vec::new();
        // A part without a key belongs to the one before: lists of stages and tags of thresholds have commas too.
        let is_key = |key: &str| KEYS.contains(&&*key.trim().replace('_', "-")) || is_word(key);
        for part in settings.split(',') {
            match (part.split_once('=').filter(|(key, _)| is_key(key)), pairs.last_mut()) {
                (Some((key, value)), _) => pairs.push((key.trim().to_owned(), value.trim().to_owned())),
                (None, Some((_, value))) => {
                    value.push(',');
                    value.push_str(part.trim_end());
                }
                (None, None) => return Err(form()),
            }
        }
        Self::new(name.trim(), pairs)
    }
}

/// Returns true if a text could be a key: words of letters.
fn is_word(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '-' | '_'))
}

impl fmt::Display for ScenarioArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.name)?;
        for (number, (key, value)) in self.pairs.iter().enumerate() {
            write!(f, "{}{key}={value}", if number == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Checks that a scenario's name can be used in flags and in thresholds.
///
/// # Errors
///
/// Returns an error that says what a name may be.
pub fn check_name(name: &str) -> Result<(), PlanError> {
    let is_wrong = |c: char| SEPARATORS.contains(&c) || c.is_control();
    if name.trim().is_empty() || name.chars().count() > LONGEST_NAME || name.contains(is_wrong) {
        return Err(format!(
            "`{name}` cannot be the name of a scenario: expected at most {LONGEST_NAME} characters without `:`, `,`, `=`, \
             quotes and braces"
        )
        .into());
    }
    Ok(())
}

/// A scenario with the settings that the load test itself made.
#[derive(Clone, Debug)]
pub struct DeclaredScenario {
    /// Name of the scenario.
    pub name: String,
    /// Its settings.
    pub settings: ScenarioSettings,
}

/// What a run asks of the scenarios.
#[derive(Clone, Debug, Default)]
pub struct ScenarioRequest {
    /// Settings of scenarios. Later ones take precedence.
    pub settings: Vec<ScenarioArg>,
    /// Name of the only scenario to run. Its own load, if it has one, comes before that of the run.
    pub only: Option<String>,
    /// True if the load of the run was asked for, and is not the default.
    pub load_is_asked: bool,
}

impl ScenarioRequest {
    /// Returns true if nothing was asked of scenarios.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.only.is_none()
    }

    /// Completes the plan of a run with the scenarios that a load test declares. For a load test that declares none,
    /// `may_name_any` tells if the request may name them.
    ///
    /// # Errors
    ///
    /// Returns an error if a name is unknown, or a load is invalid.
    pub fn plan(&self, run: &Load, declared: &[DeclaredScenario], may_name_any: bool) -> Result<Plan, PlanError> {
        if declared.is_empty() && self.is_empty() {
            return Ok(Plan::from(run.clone()));
        }
        if declared.is_empty() && !may_name_any {
            return Err("the load test has no scenarios: remove `--scenario` and `--only`".into());
        }
        let mut scenarios: Vec<_> =
            declared.iter().map(|scenario| (scenario.name.clone(), scenario.settings.clone())).collect();
        for arg in &self.settings {
            let settings = ScenarioSettings::read(&arg.pairs)?;
            match scenarios.iter_mut().find(|(name, _)| *name == arg.name) {
                Some((_, below)) => *below = settings.over(std::mem::take(below)),
                None if declared.is_empty() => scenarios.push((arg.name.clone(), settings)),
                None => return Err(unknown(&arg.name, &scenarios)),
            }
        }
        match &self.only {
            Some(only) => match scenarios.iter().find(|(name, _)| name == only) {
                Some((_, settings)) => Self::plan_of_one(run, only, settings),
                None if declared.is_empty() => Self::plan_of_one(run, only, &ScenarioSettings::default()),
                None => Err(unknown(only, &scenarios)),
            },
            None => self.plan_of_all(run, &scenarios),
        }
    }

    /// Returns the thresholds that the request adds to scenarios, with their names.
    pub fn thresholds(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().flat_map(|arg| {
            let thresholds = arg.pairs.iter().filter(|(key, _)| key == "threshold");
            thresholds.map(|(_, threshold)| (&*arg.name, &**threshold))
        })
    }

    fn plan_of_one(run: &Load, name: &str, settings: &ScenarioSettings) -> Result<Plan, PlanError> {
        let load = match settings.has_load() {
            true => settings.load(name, run, true)?,
            false => run.clone().of_scenarios(Duration::ZERO, Mix::of_one(name))?,
        };
        Ok(Plan::from(load))
    }

    fn plan_of_all(&self, run: &Load, scenarios: &[(String, ScenarioSettings)]) -> Result<Plan, PlanError> {
        let (own, shared): (Vec<_>, Vec<_>) = scenarios.iter().partition(|(_, settings)| settings.has_load());
        let mut loads = Vec::new();
        let weighted = shared
            .iter()
            .map(|(name, settings)| Weighted { name: name.as_str().into(), weight: settings.weight.unwrap_or(1) });
        let weighted: Vec<_> = weighted.filter(|scenario| scenario.weight > 0).collect();
        if !weighted.is_empty() || own.is_empty() {
            loads.push(run.clone().of_scenarios(Duration::ZERO, Mix::new(weighted)?)?);
        } else if self.load_is_asked {
            return Err("every scenario has a load of its own, so a load of the run has no effect: change one with \
                `--scenario NAME:users=5`, or run one with `--only NAME`"
                .into());
        }
        for (name, settings) in own {
            loads.push(settings.load(name, run, false)?);
        }
        Plan::of_loads(loads)
    }
}

fn unknown(name: &str, scenarios: &[(String, ScenarioSettings)]) -> PlanError {
    let names: Vec<_> = scenarios.iter().map(|(name, _)| &**name).collect();
    format!("the load test has no scenario `{name}`: {}", instead(name, &names)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(scenarios: &[(&str, &[(&str, &str)])]) -> Vec<DeclaredScenario> {
        let one = |(name, pairs): &(&str, &[(&str, &str)])| DeclaredScenario {
            name: (*name).to_owned(),
            settings: ScenarioSettings::read(pairs).unwrap(),
        };
        scenarios.iter().map(one).collect()
    }

    const SHOP: &[(&str, &[(&str, &str)])] =
        &[("browse", &[("weight", "70")]), ("search", &[]), ("buy", &[("users", "5"), ("start", "3s")])];

    fn request(settings: &[&str], only: Option<&str>, load_is_asked: bool) -> ScenarioRequest {
        let settings = settings.iter().map(|text| text.parse().unwrap()).collect();
        ScenarioRequest { settings, only: only.map(str::to_owned), load_is_asked }
    }

    fn plan(request: &ScenarioRequest, of: &[(&str, &[(&str, &str)])]) -> String {
        let run = Load::new(Asked::default()).unwrap();
        request.plan(&run, &declared(of), false).map_or_else(|error| error.to_string(), |plan| plan.to_string())
    }

    #[test]
    fn scenarios_share_the_load_of_the_run_or_have_their_own() {
        let all = "browse 70, search 1: 25 users for 10s; buy: 5 users for 7s, from 3s on";
        assert_eq!(plan(&request(&[], None, true), SHOP), all);
        let faster = request(&["buy:rate=10/s", "browse:weight=1"], None, true);
        assert_eq!(
            plan(&faster, SHOP),
            "browse 1, search 1: 25 users for 10s; buy: 10/s for 7s, at most 10000 in flight, from 3s on"
        );
        assert_eq!(plan(&request(&["buy:weight=5"], None, true), SHOP), "25 users for 10s");
        assert_eq!(plan(&request(&[], None, false), &SHOP[2..]), "5 users for 7s, from 3s on");
    }

    #[test]
    fn one_scenario_runs_alone_and_at_once() {
        assert_eq!(plan(&request(&[], Some("buy"), false), SHOP), "5 users for 10s");
        assert_eq!(plan(&request(&[], Some("buy"), true), SHOP), "5 users for 10s", "its own load");
        let asked = Asked { rate: Some("3/s".parse().unwrap()), ..Asked::default() };
        let arg = ScenarioArg::of_load("buy", &asked).unwrap().unwrap();
        let faster = request(&[&arg.to_string()], Some("buy"), false);
        assert_eq!(plan(&faster, SHOP), "3/s for 10s, at most 10000 in flight");
        assert_eq!(plan(&request(&[], Some("browse"), false), SHOP), "25 users for 10s");
    }

    #[test]
    fn wrong_request_is_an_error() {
        for (request, of, expected) in [
            (request(&["byu:weight=1"], None, true), SHOP, "the load test has no scenario `byu`: did you mean `buy`?"),
            (
                request(&[], Some("browze"), true),
                SHOP,
                "the load test has no scenario `browze`: did you mean `browse`?",
            ),
            (request(&["buy:weight=1"], None, true), &[], "the load test has no scenarios"),
            (request(&[], None, true), &SHOP[2..], "every scenario has a load of its own"),
            (
                request(&["buy:start=10s"], None, true),
                SHOP,
                "in the scenario `buy`: it starts after the end of the run",
            ),
            (
                request(&["search:start=1s"], None, true),
                SHOP,
                "in the scenario `search`: a load of its own needs `users`",
            ),
            (
                request(&["browse:weight=0", "search:weight=0", "buy:weight=0"], None, true),
                SHOP,
                "no scenario has a weight",
            ),
        ] {
            let error = plan(&request, of);
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn wrong_settings_are_an_error() {
        let wrong = |text: &str| text.parse::<ScenarioArg>().unwrap_err().to_string();
        assert_eq!(wrong("buy"), "expected NAME:KEY=VALUE,…, as in `buy:rate=10/s,start=30s`");
        assert_eq!(wrong("buy:5"), "expected NAME:KEY=VALUE,…, as in `buy:rate=10/s,start=30s`");
        assert!(wrong("buy:user=5").starts_with("`user` is no setting of a scenario: did you mean `users`?"));
        assert_eq!(wrong("buy:users=many"), "`users=many`: expected a whole number");
        assert!(wrong("buy:rate=5").starts_with("`rate=5`: "), "{}", wrong("buy:rate=5"));
        assert!(wrong("{a}:users=5").starts_with("`{a}` cannot be the name of a scenario"));
        assert!(wrong("buy:weight=5,users=3").starts_with("`weight` has no effect"));
    }

    #[test]
    fn settings_are_written_as_they_are_read() {
        let threshold =
            "buy:threshold=http_req_failed{route:/a,method:GET} rate<=1%,weight=3,threshold=iterations count>=2";
        let arg: ScenarioArg = threshold.parse().unwrap();
        assert_eq!((arg.to_string(), arg.pairs.len(), &*arg.pairs[1].1), (threshold.to_owned(), 3, "3"));
        for text in ["buy:rate=10/s,start=30s", "a b:stages=1s:5,2s:0,pace=1s", "x:max_users=3,rate=1/m"] {
            let arg: ScenarioArg = text.parse().unwrap();
            assert_eq!(arg.to_string(), text);
        }
        let stages = ScenarioSettings::read(&[("stage", "1s:5, 2s:0")]).unwrap();
        assert_eq!(stages.asked.stages.len(), 2);
    }
}
