#!/usr/bin/env bash
# A native histogram of Prometheus 2.42.0 (Debian) under the functions that answer questions about a time that is over.
#
# `histogram_quantile` of the series itself works, `count_over_time` counts its samples, and `increase` takes their difference.
# `last_over_time` of the same samples returns nothing, without an error or a warning, although it works for the counter
# beside it. So the usual way to read the final value of a job that has ended, `last_over_time(…[1h])`, finds no native
# histogram.
#
# golo's users: golo-cli/docs/metrics-outputs.md gives the queries for both kinds. The test
# `scraped_and_written_numbers_equal_the_summary` reads native histograms at the time of the last scrape.
source "$(dirname "$0")/common.sh"

deb_unpack prometheus=2.42.0+ds-5+deb12u1

# An endpoint with a counter and a native histogram of 100 values, in protobuf: 60 in the bucket up to 1, 40 up to 2.
cat >"$work/endpoint.py" <<'PY'
import http.server, struct

def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])

def field(number, value):
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value

def family(name, kind, metric):
    message = field(1, name) + field(3, kind) + field(4, metric)
    return varint(len(message)) + message

zigzag = lambda number: number * 2 if number >= 0 else -number * 2 - 1
span = field(1, zigzag(0)) + field(2, 2)
deltas = varint(zigzag(60)) + varint(zigzag(-20))
histogram = field(1, 100) + field(2, 90.0) + field(5, zigzag(0)) + field(6, 1e-9) + field(7, 0) + field(12, span) + field(13, deltas)
body = family(b"visits_total", 0, field(3, field(1, 100.0))) + family(b"visit_seconds", 4, field(7, histogram))

class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Metrics)
print(server.server_port, flush=True)
server.serve_forever()
PY
python3 "$work/endpoint.py" >"$work/port" &
started+=($!)
until [ -s "$work/port" ]; do sleep 0.1; done

cat >"$work/prometheus.yml" <<YML
global: {scrape_interval: 500ms}
scrape_configs: [{job_name: visits, static_configs: [{targets: ['127.0.0.1:$(cat "$work/port")']}]}]
YML
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$work/debian/usr/bin/prometheus" --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" \
    --web.listen-address="127.0.0.1:$port" --enable-feature=native-histograms >/dev/null 2>&1 &
started+=($!)

# The value of a query, or `nothing`.
value() {
    curl -sG "http://127.0.0.1:$port/api/v1/query" --data-urlencode "query=$1" | python3 -c '
import json, sys
found = json.load(sys.stdin)["data"]["result"]
print(found[0]["value"][1] if found else "nothing")'
}
for _ in $(seq 200); do
    [ "$(value 'count_over_time(visits_total[1m]) > 3' 2>/dev/null)" ] && [ "$(value 'count_over_time(visits_total[1m]) > 3')" != nothing ] && break
    sleep 0.1
done

expect 'histogram_count(visit_seconds)' 100 "$(value 'histogram_count(visit_seconds)')"
expect 'histogram_quantile(0.5, visit_seconds) is a number' yes \
    "$(value 'histogram_quantile(0.5, visit_seconds)' | grep -qE '^[0-9.]+$' && echo yes || echo no)"
expect 'last_over_time(visits_total[1m]), the counter' 100 "$(value 'last_over_time(visits_total[1m])')"
expect 'histogram_count(last_over_time(visit_seconds[1m]))' nothing "$(value 'histogram_count(last_over_time(visit_seconds[1m]))')"
expect 'count_over_time(visit_seconds[1m]) is above 3' yes \
    "$([ "$(value 'count_over_time(visit_seconds[1m]) > 3')" != nothing ] && echo yes || echo no)"
expect 'histogram_count(increase(visit_seconds[1m]))' 0 "$(value 'histogram_count(increase(visit_seconds[1m]))')"
exit "$changed"
