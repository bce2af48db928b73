//! Settings of the output: the environment variables that OpenTelemetry has for exporters.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::KIND;
use crate::outputs::http_courier;
use crate::support::failure::Failure;

/// Example of a URL, for error messages.
const EXAMPLE: &str = "http://127.0.0.1:4318";

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Metrics of each second.
    Metrics,
    /// Journeys as traces.
    Traces,
}

impl Signal {
    /// Returns its kind of [`Parcel`](crate::outputs::delivery::Parcel), which is also the end of its path.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }

    /// Finds a variable of this signal, or else of all signals. Returns its name and its value.
    fn variable(self, name: &str, variable: &impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{name}", self.name().to_uppercase());
        let names = [own, format!("OTEL_EXPORTER_OTLP_{name}")];
        names.into_iter().find_map(|name| variable(&name).map(|value| (name, value)))
    }
}

/// The two ways to send OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Protobuf in the bodies of HTTP requests.
    Http,
    /// gRPC.
    Grpc,
}

impl Protocol {
    fn read(signal: Signal, variable: &impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let Some((name, value)) = signal.variable("PROTOCOL", variable) else { return Ok(Self::Http) };
        match &*value {
            "http/protobuf" => Ok(Self::Http),
            "grpc" => Ok(Self::Grpc),
            _ => Err(format!("`{name}`: unknown protocol `{value}`: expected `http/protobuf` or `grpc`").into()),
        }
    }
}

/// Time of which a data point tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporality {
    /// The run so far.
    Cumulative,
    /// The time since the data point before.
    Delta,
}

impl Temporality {
    /// Name of its variable.
    const VARIABLE: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

    /// Reads the variable.
    ///
    /// # Errors
    ///
    /// Returns an error for an unknown value.
    pub fn read(variable: &impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let Some(value) = variable(Self::VARIABLE) else { return Ok(Self::Cumulative) };
        match &*value.to_ascii_lowercase() {
            "cumulative" => Ok(Self::Cumulative),
            // The difference is in kinds of metrics that golo does not have.
            "delta" | "lowmemory" => Ok(Self::Delta),
            _ => Err(format!(
                "`{}`: unknown temporality `{value}`: expected `cumulative`, `delta` or `lowmemory`",
                Self::VARIABLE
            )
            .into()),
        }
    }
}

/// Where and how a signal is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The URL as given, without `/v1/metrics`.
    pub url: Url,
    /// The protocol.
    pub protocol: Protocol,
    /// Additional headers, such as credentials.
    pub headers: HeaderMap,
}

impl Settings {
    /// Reads the URL and the variables.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL or a variable is wrong. It shows no value of a header.
    pub fn read(signal: Signal, url: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let protocol = Protocol::read(signal, variable)?;
        let url = http_courier::url(KIND, url, EXAMPLE, "OTEL_EXPORTER_OTLP_HEADERS")?;
        let path = url.path().trim_end_matches('/');
        if path.ends_with("/v1/metrics") || path.ends_with("/v1/traces") {
            let wrong = "golo adds `/v1/metrics` and `/v1/traces` itself";
            return Err(format!("`--out {KIND}=…`: {wrong}; expected a URL, as {EXAMPLE}").into());
        }
        if protocol == Protocol::Grpc && !(path.is_empty() && url.query().is_none()) {
            return Err(format!("`--out {KIND}=…`: gRPC has no path; expected a URL, as http://127.0.0.1:4317").into());
        }
        let headers = match signal.variable("HEADERS", variable) {
            Some((name, value)) => headers(&name, &value)?,
            None => HeaderMap::new(),
        };
        Ok(Self { url, protocol, headers })
    }
}

/// Reads a list such as `api-key=secret,tenant=a%20b`.
fn headers(variable: &str, text: &str) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (number, pair) in text.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty()) {
        // The text is not shown: all of it may be a secret.
        let wrong = |why: &str| {
            Failure::from(format!("`{variable}`: header {} {why}; expected `KEY=VALUE,KEY=VALUE`", number + 1))
        };
        let (key, value) = pair.split_once('=').ok_or_else(|| wrong("has no `=`"))?;
        let key = HeaderName::from_bytes(key.trim().as_bytes()).map_err(|_| wrong("has a name that is not allowed"))?;
        let value = decoded(value.trim()).ok_or_else(|| wrong("has a `%` without two hexadecimal digits"))?;
        let value = HeaderValue::from_bytes(&value);
        let mut value = value.map_err(|_| wrong("has a value with characters that are not allowed"))?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

/// Replaces `%` and two hexadecimal digits by the byte that they name.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(signal: Signal, url: &str, set: &[(&str, &str)]) -> Result<Settings, String> {
        let variable = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Settings::read(signal, url, &variable).map_err(|error| error.to_string())
    }

    #[test]
    fn variables_of_a_signal_replace_those_of_all() {
        let set = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hush,tenant=a%20b"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", " x = y=z ,"),
        ];
        let metrics = settings(Signal::Metrics, "http://a:1", &set).unwrap();
        assert_eq!(metrics.protocol, Protocol::Http);
        assert_eq!(
            (&metrics.headers["api-key"], &metrics.headers["tenant"]),
            (&"hush".parse().unwrap(), &"a b".parse().unwrap())
        );
        assert!(!format!("{metrics:?}").contains("hush"));
        let traces = settings(Signal::Traces, "http://a:1", &set).unwrap();
        assert_eq!((traces.protocol, traces.headers.len()), (Protocol::Grpc, 1));
        assert_eq!(traces.headers["x"], "y=z");
    }

    #[test]
    fn wrong_values_are_named_without_secrets() {
        const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
        const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL";
        for (url, set, said) in [
            ("http://a", (PROTOCOL, "http/json"), "unknown protocol `http/json`: expected `http/protobuf` or `grpc`"),
            ("http://a/v1/metrics", ("", ""), "golo adds `/v1/metrics` and `/v1/traces` itself"),
            ("http://a/b", (PROTOCOL, "grpc"), "gRPC has no path"),
            ("http://a", (HEADERS, "x=1,hush"), "header 2 has no `=`; expected `KEY=VALUE,KEY=VALUE`"),
            ("http://a", (HEADERS, "hu sh=1"), "header 1 has a name that is not allowed"),
            ("http://a", (HEADERS, "x=hush%2"), "header 1 has a `%` without two hexadecimal digits"),
            ("http://a", (HEADERS, "x=hush%0a"), "header 1 has a value with characters that are not allowed"),
        ] {
            let error = settings(Signal::Metrics, url, &[set]).unwrap_err();
            assert!(error.contains(said) && !error.contains("hush"), "{error}");
        }
        assert!(Temporality::read(&|_| Some("sometimes".to_owned())).unwrap_err().to_string().contains("`sometimes`"));
        assert_eq!(Temporality::read(&|_| Some("LowMemory".to_owned())).unwrap(), Temporality::Delta);
        assert_eq!(Temporality::read(&|_| None).unwrap(), Temporality::Cumulative);
    }
}
