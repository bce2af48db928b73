//! Advice for flags of other load testers.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::run_args::flags;
use crate::engine::plan::parse_duration;

/// Flags of k6, Locust, Goose, oha, hey, wrk, vegeta, ab, autocannon and curl, and advice on golo's counterpart.
const CALLED: &[(&[&str], &str)] = &[
    (
        &["--vus", "--concurrency", "-c", "--clients", "--num-users", "--virtual-users"],
        "golo calls it `--users`, as in `--users 50`",
    ),
    (&["--max-vus", "--max-workers", "--max-connections"], "golo calls it `--max-users`, as in `--max-users 1000`"),
    (
        &["-n", "--requests", "--num-requests", "--total-requests", "--number", "-a", "--amount"],
        "golo calls it `--iterations`, as in `--iterations 1000`",
    ),
    (
        &["--run-time", "--runtime", "--time", "--timelimit", "-z", "--test-duration"],
        "golo calls it `--duration`, as in `--duration 30s`",
    ),
    (
        &["--arrival-rate", "--rps", "--qps", "--query-per-second", "-R", "--overallRate", "--throttle-requests"],
        "golo calls it `--rate`, as in `--rate 500/s`",
    ),
    (
        &["--spawn-rate", "--hatch-rate", "--startup-time", "--ramp-up", "--stages", "--test-plan"],
        "golo calls it `--stage`: `--stage 30s:100` ramps to 100 users in 30 s, and `5s:10,25s:10` ramps to 10 and stays",
    ),
    (
        &["--host", "-H", "--base-url", "--url", "--target"],
        "golo calls it a parameter, as in `-e TARGET_URL=http://127.0.0.1:8080`, if the load test reads it with `golo::param`",
    ),
    (&["--threads", "--processes", "--cpus"], "golo calls it `--workers`, as in `--workers 4`"),
    (
        &["--stop-timeout", "--wait-ongoing-requests-after-deadline"],
        "golo calls it `--graceful-stop`, as in `--graceful-stop 30s`",
    ),
    (&["--insecure-skip-tls-verify", "-k", "--accept-invalid-certs"], "golo calls it `--insecure`"),
    (
        &["--disable-keepalive", "--disable-keep-alive", "--no-keepalive", "--no-connection-reuse"],
        "golo calls it `--no-keep-alive`",
    ),
    (&["--no-vu-connection-reuse"], "golo calls it `--connections per-trigger`"),
    (&["--http1.1", "--http1"], "golo calls it `--http 1.1`"),
    (&["--http2", "--http2-prior-knowledge", "--h2"], "golo calls it `--http 2`"),
    (&["--http3", "--http3-only", "--h3"], "golo calls it `--http 3`"),
    (&["--http-version"], "golo calls it `--http`, as in `--http 2`"),
    (&["--connect-to"], "golo calls it `--resolve`, as in `--resolve shop.example:443:127.0.0.1`"),
    (&["--ipv4", "-4"], "golo calls it `--dns family=4`"),
    (&["--ipv6", "-6"], "golo calls it `--dns family=6`"),
    (&["--dns-ttl"], "golo calls it `--dns`, as in `--dns ttl=30s`"),
    (&["--interface", "--local-ips", "--laddr"], "golo calls it `--local-address`, as in `--local-address 10.0.0.1`"),
    (&["--unix", "--abstract-unix-socket"], "golo calls it `--unix-socket`, as in `--unix-socket /run/shop.sock`"),
    (&["--root-certs", "--capath", "--ca-cert"], "golo calls it `--cacert`, as in `--cacert ca.pem`"),
    (&["-E", "--client-cert"], "golo calls it `--cert`, with `--key` for its private key"),
    (&["--tlsv1.2", "--tlsv1.3"], "golo calls it `--tls-min`, as in `--tls-min 1.3`"),
    (&["--tls-max-version"], "golo calls it `--tls-max`, as in `--tls-max 1.2`"),
    (&["-x", "--http-proxy"], "golo calls it `--proxy`, as in `--proxy http://127.0.0.1:3128`"),
    (&["--disable-redirects", "--max-redirs", "--redirect", "-L", "--location"], NO_FLAG_OF_REDIRECTS),
    (&["--summary-export", "--json"], "golo calls it `--out`, as in `--out summary=run.json`"),
    (&["--html", "--report-file"], "golo calls it `--out`, as in `--out html=run.html`"),
    (&["--csv", "--csv-output"], "golo calls it `--out`, as in `--out csv=run`"),
    (&["--request-log"], "golo calls it `--out`, as in `--out jsonl=requests.jsonl`"),
    (&["--headless", "--no-web"], "golo needs no such flag: a run has no web interface"),
    (&["--no-tui", "--only-summary"], "golo calls it `--no-progress`"),
    (&["--master", "--worker", "--expect-workers"], "golo calls it `golo submit`, with an `--agent` for each machine"),
    (
        &["--method", "-m", "-X", "--header", "--body", "--timeout", "-T"],
        "set the method, headers, body and timeout of requests in the code of the load test",
    ),
];

/// Advice on flags for the number of redirects.
const NO_FLAG_OF_REDIRECTS: &str = "golo follows at most 10 redirects; set another number with `golo::set_http`";

/// Returns advice for an argument that clap rejected, if there is any. `subcommand` is the subcommand that was called,
/// and `program` is the command that starts this program.
pub(super) fn tip(error: &clap::Error, program: &str, subcommand: Option<&str>) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let argument = text(ContextKind::InvalidArg)?;
    match error.kind() {
        ErrorKind::UnknownArgument => unknown(argument.split('=').next()?, program, subcommand),
        ErrorKind::ValueValidation => wrong_value(argument, text(ContextKind::InvalidValue)?),
        _ => None,
    }
}

/// Returns advice for an unknown argument.
fn unknown(argument: &str, program: &str, subcommand: Option<&str>) -> Option<String> {
    let is_run = matches!(subcommand, Some("run" | "submit"));
    if subcommand.is_none() && flags::<()>().iter().any(|flag| flag.is(argument)) {
        return Some(format!("`{argument}` is a flag of `run`, as in `{program} run {argument}`"));
    }
    if is_run && is_job_file(argument) {
        return Some(format!("pass a job file with `--file`, as in `--file {argument}`"));
    }
    if !is_run && subcommand.is_some() {
        return None;
    }
    let (_, tip) = CALLED.iter().find(|(flags, _)| flags.contains(&argument))?;
    match subcommand {
        Some(_) => Some((*tip).to_owned()),
        None => Some(format!("{tip}; use it with `{program} run`")),
    }
}

/// Returns advice for an invalid value. `argument` is the flag with the name of its value.
fn wrong_value(argument: &str, value: &str) -> Option<String> {
    let flag = argument.split_whitespace().next()?;
    let rest = flag.strip_prefix("--")?.get(1..)?;
    if !rest.is_empty() && value.starts_with(rest) {
        return Some(format!("long flags begin with two dashes, as in `{flag}`"));
    }
    (flag == "--threshold" && parse_duration(value).is_ok())
        .then(|| format!("golo calls the length of a run `--duration`, as in `-d {value}`; `-t` is a threshold"))
}

/// Returns true if a path has the extension of a job file.
fn is_job_file(path: &str) -> bool {
    [".toml", ".yaml", ".yml"].iter().any(|end| path.to_ascii_lowercase().ends_with(end))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::runtime::run_args::RunArgs;

    #[derive(Debug, Parser)]
    #[command(no_binary_name = true)]
    struct Run {
        #[command(flatten)]
        run: RunArgs,
    }

    fn tip_for(line: &str, subcommand: Option<&str>) -> Option<String> {
        let error = Run::try_parse_from(line.split_whitespace()).unwrap_err();
        tip(&error, "shop", subcommand)
    }

    #[test]
    fn tip_translates_flags_of_other_tools() {
        for (line, expected) in [
            ("--vus 5", "golo calls it `--users`"),
            ("--vus=5", "golo calls it `--users`"),
            ("-c 5", "golo calls it `--users`"),
            ("-n 100", "golo calls it `--iterations`"),
            ("--spawn-rate 5", "golo calls it `--stage`"),
            ("--run-time 30s", "golo calls it `--duration`"),
            ("-k", "golo calls it `--insecure`"),
            ("--http2", "golo calls it `--http 2`"),
            ("-4", "golo calls it `--dns family=4`"),
            ("--connect-to a:1:b:2", "golo calls it `--resolve`"),
            ("--disable-redirects", "golo follows at most 10 redirects"),
            ("--host http://127.0.0.1", "golo calls it a parameter"),
            ("-t 30s", "golo calls the length of a run `--duration`, as in `-d 30s`"),
            ("-rate=50", "long flags begin with two dashes, as in `--rate`"),
            ("job.YAML", "pass a job file with `--file`, as in `--file job.YAML`"),
        ] {
            let tip = tip_for(line, Some("run")).unwrap_or_default();
            assert!(tip.starts_with(expected), "{line}: {tip}");
        }
        for line in ["--frobnicate", "-t nonsense", "-r 5", "--users=many"] {
            assert_eq!(tip_for(line, Some("run")), None, "{line}");
        }
        assert_eq!(tip_for("--vus 5", Some("serve")), None, "it is no flag of `serve`");
    }

    #[test]
    fn tip_explains_flags_of_run_without_run() {
        let unknown = |argument| unknown(argument, "shop", None).unwrap();
        assert_eq!(unknown("--users"), "`--users` is a flag of `run`, as in `shop run --users`");
        assert_eq!(unknown("-u"), "`-u` is a flag of `run`, as in `shop run -u`");
        assert_eq!(unknown("--vus"), "golo calls it `--users`, as in `--users 50`; use it with `shop run`");
    }

    #[test]
    fn table_contains_no_flag_of_run() {
        let flags = flags::<()>();
        for other in CALLED.iter().flat_map(|(flags, _)| *flags) {
            assert!(flags.iter().all(|flag| !flag.is(other)), "{other} is a flag of `run`");
        }
    }
}
