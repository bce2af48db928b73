#!/usr/bin/env bash
# A POST without a body, from three HTTP clients to the same server.
#
# reqwest 0.13.5 (crates.io) sends neither `content-length` nor `transfer-encoding`. requests 2.32.5 (PyPI) and undici 7.16.0
# (npm) send `content-length: 0`, as RFC 9110, section 8.6, recommends for methods like POST.
# A server may answer such a request of reqwest with `411 Length Required`, which it gives none of the others.
#
# golo's users: golo's own transport sends what reqwest would, so that a load test sees the same answers as a program
# built on reqwest. The test `requests_are_the_same` in tests/tests/requests/side_by_side.rs compares them. A load test
# for a target that answers 411 sets the header: `.header("content-length", "0")`.
source "$(dirname "$0")/common.sh"

pip_install requests==2.32.5
npm_install undici@7.16.0
serve '(request, response) => {
    request.resume();
    response.end(request.headers["content-length"] ?? request.headers["transfer-encoding"] ?? "none");
}'

mkdir -p "$work/client/src"
cat >"$work/client/Cargo.toml" <<'TOML'
[package]
name = "client"
version = "0.0.0"
edition = "2024"

[dependencies]
reqwest = { version = "=0.13.5", default-features = false, features = ["blocking"] }
TOML
cat >"$work/client/src/main.rs" <<'RS'
fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    let answer = reqwest::blocking::Client::new().post(url).send().expect("it answers");
    println!("{}", answer.text().expect("it is text"));
}
RS
CARGO_TARGET_DIR="$work/target" cargo build --quiet --manifest-path "$work/client/Cargo.toml"
expect "reqwest" "none" "$("$work/target/debug/client" "$url")"
expect "requests" "0" "$("$work/python/bin/python" -c 'import requests, sys; print(requests.post(sys.argv[1]).text)' "$url")"
expect "undici" "0" "$(cd "$work" && node -e 'require("undici").request(process.argv[1], { method: "POST" }).then(async (answer) => console.log(await answer.body.text()))' "$url")"
exit "$changed"
