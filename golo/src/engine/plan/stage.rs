//! Text forms of a plan's parts: times, targets, stages, arrivals.

use std::{fmt, str::FromStr, time::Duration};

use super::{PlanError, Rate};

/// Target of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Number of users.
    Users(u64),
    /// Starts per time.
    Rate(Rate),
}

/// A linear change to a target: `30s:100`, `30s:100/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Duration of the change. Zero means a jump.
    pub duration: Duration,
    /// Load at the end of the stage.
    pub target: Target,
}

/// Spacing of the starts of an open plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrivals {
    /// As even as the rate allows.
    #[default]
    Constant,
    /// Random and independent of each other, like the requests of many unrelated people.
    Poisson,
}

/// Maximum duration. Clocks could overflow beyond it.
pub(in crate::engine) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Parses a duration such as `1h30m`. A number without a unit is in seconds.
///
/// # Errors
///
/// Returns a message with the problem and the expected form.
pub fn parse_duration(text: &str) -> Result<Duration, PlanError> {
    let duration = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?,
        Err(_) => humantime::parse_duration(text)
            .map_err(|error| format!("{error}; write 30s, 1m30s, 500ms, or a number of seconds"))?,
    };
    if duration > LONGEST { Err("longer than a year".into()) } else { Ok(duration) }
}

/// A duration in the form that [`parse_duration`] reads, without spaces: `1h30m`.
#[derive(Clone, Copy)]
pub(crate) struct Time(pub(crate) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = (self.0.as_secs(), u64::from(self.0.subsec_nanos()));
        let parts = [
            (seconds / 86400, "d"),
            (seconds / 3600 % 24, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
            (nanoseconds / 1_000_000, "ms"),
            (nanoseconds / 1000 % 1000, "us"),
            (nanoseconds % 1000, "ns"),
        ];
        if self.0.is_zero() {
            return f.write_str("0s");
        }
        parts.iter().filter(|part| part.0 > 0).try_for_each(|(number, unit)| write!(f, "{number}{unit}"))
    }
}

impl FromStr for Target {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('/') {
            return text.parse().map(Self::Rate);
        }
        let users = text
            .parse()
            .map_err(|_| format!("`{text}` is not a number of users; write 100, or a rate as in 100/s").into());
        users.map(Self::Users)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Users(users) => users.fmt(f),
            Self::Rate(rate) => rate.fmt(f),
        }
    }
}

impl FromStr for Stage {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((duration, target)) = text.split_once(':') else {
            return Err("expected TIME:TARGET, as in 30s:100 or 30s:100/s".into());
        };
        let duration = parse_duration(duration).map_err(|error| format!("invalid time `{duration}`: {error}"))?;
        Ok(Self { duration, target: target.parse()? })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Time(self.duration), self.target)
    }
}

impl FromStr for Arrivals {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "constant" => Ok(Self::Constant),
            "poisson" => Ok(Self::Poisson),
            _ => Err("expected `constant` or `poisson`".into()),
        }
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_parsed() {
        assert_eq!(parse_duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "-1", "soon", "5 parsecs", "nan", "inf", "1e300", "366d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_formatted() {
        let said = |text| Time(parse_duration(text).unwrap()).to_string();
        assert_eq!(["0", "90", "5400", "1.5", "365d"].map(said), ["0s", "1m30s", "1h30m", "1s500ms", "365d"]);
    }

    #[test]
    fn stages_have_a_time_and_a_target() {
        let stage = |text: &str| text.parse::<Stage>();
        let duration = Duration::from_secs(30);
        assert_eq!(stage("30s:100"), Ok(Stage { duration, target: Target::Users(100) }));
        assert_eq!(stage("30:1.5/s"), Ok(Stage { duration, target: Target::Rate("1.5/s".parse().unwrap()) }));
        assert_eq!(stage("1m30s:100/s").unwrap().to_string(), "1m30s:100/s");
        for (wrong, error) in [
            ("100", "expected TIME:TARGET, as in 30s:100 or 30s:100/s"),
            ("30s:many", "`many` is not a number of users; write 100, or a rate as in 100/s"),
            ("30s:1.5", "`1.5` is not a number of users; write 100, or a rate as in 100/s"),
            ("30s:1/x", "`x` is not a unit of a rate; write `1/s`, `/m` or `/h`"),
            ("366d:1", "invalid time `366d`: longer than a year"),
        ] {
            assert_eq!(stage(wrong).unwrap_err().to_string(), error);
        }
        assert!(stage(":100").unwrap_err().to_string().starts_with("invalid time ``: "));
    }

    #[test]
    fn arrivals_have_names() {
        for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
            assert_eq!(arrivals.to_string().parse(), Ok(arrivals));
        }
        assert_eq!("even".parse::<Arrivals>(), Err("expected `constant` or `poisson`".into()));
    }

    proptest! {
        #[test]
        fn formatted_stage_is_parsed_back(
            seconds in 0..LONGEST.as_secs(), nanoseconds in prop_oneof![Just(0), 0..1_000_000_000u32],
            target in prop_oneof![
                any::<u64>().prop_map(Target::Users),
                (0..=Rate::MAX.millionths_per_hour()).prop_map(|units| Target::Rate(Rate::new(units).unwrap())),
            ],
        ) {
            let stage = Stage { duration: Duration::new(seconds, nanoseconds), target };
            prop_assert_eq!(stage.to_string().parse(), Ok(stage));
        }

        #[test]
        fn garbage_is_an_error(text in "[-+0-9.:/smhde ]{0,30}|.*") {
            let _ = (text.parse::<Stage>(), text.parse::<Arrivals>());
            if let Ok(duration) = parse_duration(&text) {
                prop_assert!(duration <= LONGEST);
            }
        }
    }
}
