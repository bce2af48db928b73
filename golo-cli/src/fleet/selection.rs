//! Choosing agents by their number, their labels and what their machines have.

use std::fmt;
use std::str::FromStr;

use crate::nats::registry::Registration;
use crate::process::limits::bytes;

/// Keys whose values are numbers.
const NUMBERS: [&str; 4] = ["cores", "memory", "descriptors", "ports"];

/// Conditions that an agent must meet, all of them: `zone=eu,cores>=4`.
///
/// ```
/// use golo_cli::fleet::selection::Selection;
///
/// let selection: Selection = "zone=eu,memory>=8GiB".parse()?;
/// assert_eq!(selection.to_string(), "zone=eu,memory>=8GiB");
/// assert!("cores>=many".parse::<Selection>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    conditions: Vec<Condition>,
}

/// A condition on one key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    text: String,
    key: String,
    relation: Relation,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Is,
    IsNot,
    AtLeast,
    AtMost,
}

impl Selection {
    /// Returns true if the agent meets all conditions.
    #[must_use]
    pub fn matches(&self, agent: &Registration) -> bool {
        self.conditions.iter().all(|condition| condition.matches(agent))
    }
}

/// Selections that must hold together.
impl FromIterator<Selection> for Selection {
    fn from_iter<I: IntoIterator<Item = Selection>>(selections: I) -> Self {
        Self { conditions: selections.into_iter().flat_map(|selection| selection.conditions).collect() }
    }
}

impl Condition {
    fn matches(&self, agent: &Registration) -> bool {
        let number = match &*self.key {
            "cores" => agent.capacity.cores,
            "memory" => agent.capacity.memory,
            "descriptors" => agent.capacity.descriptors,
            "ports" => agent.capacity.ports,
            _ => return self.matches_text(agent),
        };
        let Ok(value) = bytes(&self.value) else { return false };
        match self.relation {
            Relation::Is => number == value,
            Relation::IsNot => number != value,
            Relation::AtLeast => number >= value,
            Relation::AtMost => number <= value,
        }
    }

    fn matches_text(&self, agent: &Registration) -> bool {
        let text = match &*self.key {
            "name" => Some(&agent.name),
            "version" => Some(&agent.version),
            "platform" => Some(&agent.platform),
            label => agent.labels.get(label),
        };
        (text == Some(&self.value)) == (self.relation == Relation::Is)
    }
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let conditions = text.split(',').map(|text| text.trim().parse()).collect::<Result<_, _>>()?;
        Ok(Self { conditions })
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let relations =
            [(">=", Relation::AtLeast), ("<=", Relation::AtMost), ("!=", Relation::IsNot), ("=", Relation::Is)];
        let parts = relations.iter().find_map(|(sign, relation)| {
            let (key, value) = text.split_once(sign)?;
            Some((key.trim(), *relation, value.trim()))
        });
        let expected = "expected KEY=VALUE, as zone=eu, or a number that a machine has, as cores>=4 or memory>=8GiB";
        let (key, relation, value) =
            parts.filter(|(key, _, value)| !key.is_empty() && !value.is_empty()).ok_or(expected)?;
        let is_number = NUMBERS.contains(&key);
        if is_number && bytes(value).is_err() {
            return Err(format!("`{key}` is a number, and `{value}` is none: {expected}"));
        }
        if !is_number && matches!(relation, Relation::AtLeast | Relation::AtMost) {
            return Err(format!("`{key}` cannot be compared by size: {expected}"));
        }
        Ok(Self { text: text.to_owned(), key: key.to_owned(), relation, value: value.to_owned() })
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.conditions.iter().map(|condition| &*condition.text).collect();
        f.write_str(&texts.join(","))
    }
}

/// Chooses `number` agents of those that match, or all of them. Agents without jobs come first, and of these the ones with
/// the most cores. The result is in the order of the names.
///
/// # Errors
///
/// Returns an error if there are too few.
pub fn choose(
    registered: Vec<Registration>,
    selection: &Selection,
    number: Option<usize>,
) -> Result<Vec<Registration>, String> {
    let total = registered.len();
    let mut chosen: Vec<_> = registered.into_iter().filter(|agent| selection.matches(agent)).collect();
    let wanted = number.unwrap_or(chosen.len().max(1));
    if chosen.len() < wanted {
        let selected = match selection.conditions.is_empty() {
            true => String::new(),
            false => format!(", of which {} match `--select {selection}`", chosen.len()),
        };
        return Err(match total {
            0 => "no agent is registered: start some with `golo agent --nats`".to_owned(),
            _ => format!("{} wanted, and {} registered{selected}", agents(wanted), are(total)),
        });
    }
    chosen.sort_by(|one, other| {
        let order = |agent: &Registration| (agent.jobs, std::cmp::Reverse(agent.capacity.cores));
        order(one).cmp(&order(other)).then_with(|| one.name.cmp(&other.name))
    });
    chosen.truncate(wanted);
    chosen.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(chosen)
}

fn agents(number: usize) -> String {
    if number == 1 { "1 agent is".to_owned() } else { format!("{number} agents are") }
}

fn are(number: usize) -> String {
    if number == 1 { "1 is".to_owned() } else { format!("{number} are") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::nats::registry::Capacity;

    fn agent(name: &str, zone: &str, cores: u64, jobs: u64) -> Registration {
        Registration {
            name: name.to_owned(),
            id: name.to_owned(),
            version: "0.1.0".to_owned(),
            platform: "linux-arm64".to_owned(),
            labels: BTreeMap::from([("zone".to_owned(), zone.to_owned())]),
            capacity: Capacity { cores, memory: 4 << 30, descriptors: 1024, ports: 28_232 },
            jobs,
            running: None,
        }
    }

    fn matches(text: &str) -> bool {
        text.parse::<Selection>().unwrap().matches(&agent("a.b", "eu", 4, 0))
    }

    #[test]
    fn all_conditions_must_hold() {
        let met =
            ["zone=eu", "zone=eu, cores>=4", "memory<=4GiB", "cores=4", "disk!=ssd", "name=a.b,platform=linux-arm64"];
        for text in met {
            assert!(matches(text), "{text}");
        }
        for text in ["zone=us", "zone!=eu", "disk=ssd", "cores>=5", "memory>=5G", "zone=eu,cores<=3", "ports!=28232"] {
            assert!(!matches(text), "{text}");
        }
    }

    #[test]
    fn wrong_conditions_are_refused() {
        for (text, expected) in [
            ("", "expected KEY=VALUE"),
            ("zone", "expected KEY=VALUE"),
            ("=eu", "expected KEY=VALUE"),
            ("zone=eu,", "expected KEY=VALUE"),
            ("zone>=eu", "`zone` cannot be compared by size"),
            ("cores>=many", "`cores` is a number, and `many` is none"),
        ] {
            let error = text.parse::<Selection>().unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn idle_and_large_agents_are_chosen_first() {
        let all =
            || vec![agent("a", "eu", 8, 1), agent("b", "eu", 2, 0), agent("c", "us", 4, 0), agent("d", "eu", 4, 0)];
        let names = |selection: &str, number| {
            let selection = if selection.is_empty() { Selection::default() } else { selection.parse().unwrap() };
            let chosen = choose(all(), &selection, number)?;
            Ok::<_, String>(chosen.into_iter().map(|agent| agent.name).collect::<String>())
        };
        assert_eq!(names("", None), Ok("abcd".to_owned()));
        assert_eq!(names("", Some(2)), Ok("cd".to_owned()));
        assert_eq!(names("zone=eu", Some(2)), Ok("bd".to_owned()));
        assert_eq!(names("", Some(4)), Ok("abcd".to_owned()));
        let few = "3 agents are wanted, and 4 are registered, of which 1 match `--select zone=us`";
        assert_eq!(names("zone=us", Some(3)), Err(few.to_owned()));
        assert_eq!(names("", Some(5)), Err("5 agents are wanted, and 4 are registered".to_owned()));
        let none = choose(Vec::new(), &Selection::default(), None).unwrap_err();
        assert!(none.starts_with("no agent is registered"), "{none}");
    }
}
