#!/usr/bin/env bash
# A target refuses 99 of 100 requests at once with status 503, and answers the others with status 200 after 500 ms.
#
# autocannon 9.0.0 (npm), locust 2.47.0 (PyPI) and hey 0.1.4-2+b4 (Debian 12), 300 requests with 3 users: each prints
# percentiles of passed and failed requests together. p90 is far below 250 ms in all three, although no request that
# passed took less than 500 ms, and none of them shows the passed ones apart. autocannon and hey exit with 0; locust with 1.
#
# golo's users: as soon as more than 1 % of requests fail, the summary shows passed and failed requests apart, and
# `{outcome:passed}` in a threshold selects the passed ones. The page "Thresholds in CI" has it.
source "$(dirname "$0")/common.sh"

npm_install autocannon@9.0.0
pip_install locust==2.47.0
deb_unpack hey=0.1.4-2+b4
serve '(() => { let number = 0; return (request, response) => {
    number += 1;
    if (number % 100) { response.statusCode = 503; response.end("busy"); } else setTimeout(() => response.end("done"), 500);
}; })()'

# Whether a number of milliseconds is far below what a request that passed takes.
is_fast() { awk -v milliseconds="$1" 'BEGIN { print (milliseconds < 250 ? "below 250 ms" : "250 ms or more") }'; }

code=0
"$work/node_modules/.bin/autocannon" --json -c 3 -a 300 "$url" >"$work/autocannon.json" 2>/dev/null || code=$?
read -r passed failed p90 < <(node -p 'const r = JSON.parse(require("fs").readFileSync(process.argv[1])); [r["2xx"], r.non2xx, r.latency.p90].join(" ")' "$work/autocannon.json")
expect "autocannon, exit code, passed, failed" "0 3 297" "$code $passed $failed"
expect "autocannon, p90" "below 250 ms" "$(is_fast "$p90")"

cat >"$work/locustfile.py" <<'PY'
from locust import FastHttpUser, events, task


class Visitor(FastHttpUser):
    @task
    def visit(self):
        self.client.get("/")


@events.request.add_listener
def stop_after_300(**_):
    runner = Visitor.runner
    if runner.stats.total.num_requests >= 300:
        runner.quit()


@events.init.add_listener
def keep_runner(environment, **_):
    Visitor.runner = environment.runner
PY
code=0
(cd "$work" && python/bin/locust --headless --only-summary -u 3 -r 3 -t 20s -H "${url%/}" --csv figures >/dev/null 2>&1) || code=$?
read -r requests failures p90 < <(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "90%") column = i } $2 == "Aggregated" { print $3, $4, $column }' "$work/figures_stats.csv")
expect "locust, exit code, and whether 98 % or more failed" "1 yes" "$code $(awk -v all="$requests" -v failed="$failures" 'BEGIN { print (failed >= 0.98 * all ? "yes" : "no") }')"
expect "locust, p90" "below 250 ms" "$(is_fast "$p90")"

code=0
"$work/debian/usr/bin/hey" -n 300 -c 3 "$url" >"$work/hey.txt" 2>&1 || code=$?
expect "hey, exit code" 0 "$code"
expect "hey, statuses" "[200]=3 [503]=297" "$(awk '/^  \[[0-9]+\]\t/ { printf "%s%s=%s", separator, $1, $2; separator = " " }' "$work/hey.txt")"
expect "hey, p90" "below 250 ms" "$(is_fast "$(awk '/^  90% in/ { print $3 * 1000 }' "$work/hey.txt")")"
exit "$changed"
