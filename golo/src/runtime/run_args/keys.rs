//! A run as keys and values, to pass it to another process.

use std::time::Duration;

use serde_json::{Map, Value};

use super::RunCall;
use crate::engine::plan::{Asked, Time};

impl RunCall {
    /// Returns the load and the options of the run, with the flags of `run` as keys. Contains exactly what was set.
    /// Leaves out flags about files and terminal output, and parameters.
    #[must_use]
    pub fn keys(&self) -> Map<String, Value> {
        let Asked { users, pace, rate, arrivals, max_users, stages, duration, iterations, warm_up, graceful_stop } =
            &self.asked;
        let time = |time: Duration| Time(time).to_string();
        let texts = |texts: Vec<String>| (!texts.is_empty()).then(|| Value::from(texts));
        let thresholds = self.thresholds.iter().map(|threshold| threshold.to_string()).collect();
        let keys = [
            ("users", users.map(Value::from)),
            ("pace", pace.map(time).map(Value::from)),
            ("rate", rate.map(|rate| rate.to_string().into())),
            ("arrivals", arrivals.map(|arrivals| arrivals.to_string().into())),
            ("max-users", max_users.map(Value::from)),
            ("stage", texts(stages.iter().map(ToString::to_string).collect())),
            ("duration", duration.map(time).map(Value::from)),
            ("iterations", iterations.map(Value::from)),
            ("warm-up", warm_up.map(time).map(Value::from)),
            ("graceful-stop", graceful_stop.map(time).map(Value::from)),
            ("scenario", texts(self.scenarios.settings.iter().map(ToString::to_string).collect())),
            ("only", self.scenarios.only.clone().map(Value::from)),
            ("threshold", texts(thresholds)),
            ("name", self.job_name.clone().map(Value::from)),
            ("mask", texts(self.masks.names().map(str::to_owned).collect())),
            ("workers", self.workers.map(Value::from)),
            ("seed", Some(self.seed.into())),
            ("max-lag", self.max_lag.map(time).map(Value::from)),
        ];
        let switches = self.transport.switches().map(|(key, is_on)| (key, is_on.then_some(Value::Bool(true))));
        let values = self.transport.values().map(|(key, value)| (key, value.map(Value::from)));
        let keys = keys.into_iter().chain(switches).chain(values);
        keys.filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{RunArgs, tests::call};
    use super::*;

    /// Turns the keys back into flags.
    fn flags(keys: &Map<String, Value>) -> Vec<String> {
        let flag = |(key, value): (&String, &Value)| match value {
            Value::Array(values) => values.iter().map(|value| format!("--{key}={}", value.as_str().unwrap())).collect(),
            Value::String(text) => vec![format!("--{key}={text}")],
            Value::Bool(true) => vec![format!("--{key}")],
            value => vec![format!("--{key}={value}")],
        };
        keys.iter().flat_map(flag).collect()
    }

    #[test]
    fn keys_read_back_as_the_same_run() {
        for flags_given in [
            &[][..],
            &["-u", "7", "--pace", "1.0000005", "-d", "1h30m"],
            &["-r", "0.7/h", "--arrivals", "poisson", "--max-users", "9", "--warm-up", "1ms"],
            &["-u", "3", "-s", "10s:7,0s:9", "-s", "1m:0", "--graceful-stop", "0"],
            &["-s", "10s:1234.567/m,1m:3/s", "-i", "999"],
            &["-t", "http_req_duration{route:/items/{id}} p(99.9)<1s", "-t", "http_req_failed rate<1%"],
            &["-r", "5/s", "--max-lag", "50ms"],
            &["--scenario", "buy:stages=1s:5,2s:0,start=3s", "--scenario", "a b:weight=7", "--only", "buy"],
            &["--mask", "x-account", "--mask", "e mail"],
            &["--proxy", "http://ann:secret@127.0.0.1:3128"],
            &["--proxy", "env"],
            &["--connections", "64", "--http", "2", "--redirects", "separate", "--no-resend", "--traceparent"],
            &[
                "--connections",
                "per-trigger",
                "--resolve",
                "a.example:443:[::1],b:1:10.0.0.1",
                "--resolve",
                "b:1:10.0.0.2",
            ],
            &[
                "--dns",
                "family=6,ttl=1m30s",
                "--local-address",
                "10.0.0.1-10.0.255.0",
                "--local-address",
                "::2,10.0.0.9",
            ],
            &["--cacert", "ca.pem", "--cert", "c.pem", "--key", "k.pem", "--tls-min", "1.2", "--tls-max", "1.3"],
            &["--unix-socket", "/run/shop.sock"],
            &["--name", "a b", "--workers", "3", "--seed", "18446744073709551615", "--insecure", "--no-keep-alive"],
        ] {
            let given = call(flags_given, &[]).unwrap();
            let keys = given.keys();
            let again: RunArgs = RunArgs::parse(&flags(&keys)).unwrap();
            let again = again.into_call(|_| None).unwrap();
            assert_eq!((&again.plan, &again.transport), (&given.plan, &given.transport), "{flags_given:?}");
            assert_eq!(again.keys(), keys, "{flags_given:?}");
        }
    }

    #[test]
    fn keys_contain_only_what_was_set() {
        let keys = call(&["-q", "-o", "summary=run.json"], &[]).unwrap().keys();
        assert_eq!(Value::from(keys), json!({ "seed": 0 }));
        let keys = call(&["-i", "5"], &[("GOLO_USERS", "3")]).unwrap().keys();
        assert_eq!(Value::from(keys), json!({ "seed": 0, "users": 3, "iterations": 5 }));
    }
}
