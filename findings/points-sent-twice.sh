#!/usr/bin/env bash
# A point of the line protocol that is sent twice, as a client does that got no answer to its first try.
#
# InfluxDB 1.6.7 (Debian) keeps one point for the same series and time, so the sum over time stays right. VictoriaMetrics
# 1.79.5 (Debian) accepts the same protocol and keeps both: its sum over time counts the point twice. With the flag
# -dedup.minScrapeInterval=1ms it keeps one. A query of the value itself shows one in any case.
#
# golo's users: `-o influxdb=URL` sends a second again if its answer was lost. golo-cli/docs/influxdb.md names the flag.
source "$(dirname "$0")/common.sh"

deb_unpack influxdb=1.6.7~rc0-1+b13
deb_unpack victoria-metrics=1.79.5+ds1-2+b5

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
await() { for _ in $(seq 100); do curl -sf "$1" >/dev/null && return; sleep 0.1; done; }

influx=$(free_port) meta=$(free_port)
cat >"$work/influxdb.conf" <<CONF
reporting-disabled = true
bind-address = "127.0.0.1:$meta"
[meta]
  dir = "$work/meta"
[data]
  dir = "$work/data"
  wal-dir = "$work/wal"
[http]
  bind-address = "127.0.0.1:$influx"
CONF
"$work/debian/usr/bin/influxd" -config "$work/influxdb.conf" >/dev/null 2>&1 &
started+=($!)
plain=$(free_port) deduplicating=$(free_port)
victoria() {
    "$work/debian/usr/bin/victoria-metrics" -storageDataPath="$work/vm$1" -httpListenAddr="127.0.0.1:$1" \
        -search.latencyOffset=0s "${@:2}" >/dev/null 2>&1 &
    started+=($!)
}
victoria "$plain"
victoria "$deduplicating" -dedup.minScrapeInterval=1ms
await "http://127.0.0.1:$influx/ping"
await "http://127.0.0.1:$plain/health"
await "http://127.0.0.1:$deduplicating/health"

curl -s -o /dev/null "http://127.0.0.1:$influx/query" --data-urlencode 'q=CREATE DATABASE load'
now=$(date +%s)
for _ in 1 2; do
    for port in $influx $plain $deduplicating; do
        curl -sf "http://127.0.0.1:$port/write?db=load&precision=s" --data-binary "visits,run=a count=10 $now"
    done
done

# The sum of the point over the last minutes, once it can be read.
influx_sum() {
    curl -sG "http://127.0.0.1:$influx/query" --data-urlencode db=load --data-urlencode 'q=SELECT sum(count) FROM visits' |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["results"][0]["series"][0]["values"][0][1])'
}
victoria_sum() {
    for _ in $(seq 100); do
        seen=$(curl -sG "http://127.0.0.1:$1/api/v1/query" --data-urlencode 'query=sum_over_time(visits_count{run="a"}[5m])' |
            python3 -c 'import json, sys; found = json.load(sys.stdin)["data"]["result"]; print(found[0]["value"][1] if found else "")')
        [ -n "$seen" ] && break
        sleep 0.1
    done
    # The second write may become visible a moment after the first.
    sleep 2
    curl -sG "http://127.0.0.1:$1/api/v1/query" --data-urlencode 'query=sum_over_time(visits_count{run="a"}[5m])' |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["data"]["result"][0]["value"][1])'
}

expect 'InfluxDB 1.6.7, a point of 10 sent twice, sum' 10 "$(influx_sum)"
expect 'VictoriaMetrics 1.79.5, the same, sum over time' 20 "$(victoria_sum "$plain")"
expect 'VictoriaMetrics 1.79.5 with -dedup.minScrapeInterval=1ms' 10 "$(victoria_sum "$deduplicating")"
exit "$changed"
