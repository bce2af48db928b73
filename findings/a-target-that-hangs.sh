#!/usr/bin/env bash
# A target accepts every connection and never answers.
#
# autocannon 9.0.0 (npm), locust 2.47.0 (PyPI) and hey 0.1.4-2+b4 (Debian 12), each for 3 s with 3 users: all exit with 0.
# autocannon and locust report no request, no error and no failure: what is in flight when the time is over is counted
# nowhere, and autocannon's own timeout (10 s) is longer than the run. hey waits for its timeout of 20 s although it was told
# 3 s (`-z`), counts the three requests that failed as its rate (3 in 20 s), prints averages of `NaN`, and exits with 0.
#
# golo's users: a run in which nothing succeeded is FAILED (exit code 99), and requests that were cut off are a metric of
# thresholds, `http_req_interrupted`. The page "Reading the report" has both.
source "$(dirname "$0")/common.sh"

npm_install autocannon@9.0.0
pip_install locust==2.47.0
deb_unpack hey=0.1.4-2+b4
serve '() => {}'

code=0
"$work/node_modules/.bin/autocannon" --json -c 3 -d 3 "$url" >"$work/autocannon.json" 2>/dev/null || code=$?
figures=$(node -p 'const r = JSON.parse(require("fs").readFileSync(process.argv[1])); [r.requests.total, r.errors, r.timeouts, r.non2xx].join(" ")' "$work/autocannon.json")
expect "autocannon, exit code" 0 "$code"
expect "autocannon, requests, errors, timeouts, non2xx" "0 0 0 0" "$figures"

cat >"$work/locustfile.py" <<'PY'
from locust import FastHttpUser, task


class Visitor(FastHttpUser):
    @task
    def visit(self):
        self.client.get("/")
PY
code=0
(cd "$work" && python/bin/locust --headless --only-summary -u 3 -r 3 -t 3s -H "${url%/}" --csv figures >/dev/null 2>&1) || code=$?
expect "locust, exit code" 0 "$code"
expect "locust, requests and failures of Aggregated" "0 0" "$(awk -F, '$2 == "Aggregated" { print $3, $4 }' "$work/figures_stats.csv")"

code=0
"$work/debian/usr/bin/hey" -z 3s -c 3 "$url" >"$work/hey.txt" 2>&1 || code=$?
expect "hey, exit code" 0 "$code"
expect "hey, rounded requests a second and average" "0.15 NaN" \
    "$(awk '/Requests\/sec:/ { rate = $2 } /Average:/ { average = $2 } END { printf "%.2f %s", rate, average }' "$work/hey.txt")"
expect "hey, errors" 3 "$(sed -n 's/^  \[\([0-9]*\)\].*deadline exceeded.*/\1/p' "$work/hey.txt")"
exit "$changed"
