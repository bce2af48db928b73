-- Version 5: tags of requests, and metrics of load tests.

-- `series` is made anew, since its tags are part of what makes it unique.
CREATE TABLE series_with_tags (
    -- Requests of a route with the same outcome and tags.
    id INTEGER PRIMARY KEY,
    route INTEGER NOT NULL REFERENCES routes (id),
    outcome TEXT NOT NULL,              -- answered, unexpected (the load test wanted another status), failed, interrupted
    status INTEGER NOT NULL,            -- of the response; 0 if there is none
    error TEXT NOT NULL,                -- kind of error; empty if there is none
    failed INTEGER NOT NULL,            -- 1 if such a request counts as failed
    tags TEXT NOT NULL DEFAULT '{}',    -- tags that the load test set: a JSON object
    UNIQUE (route, outcome, status, error, tags)
);
INSERT INTO series_with_tags (id, route, outcome, status, error, failed)
    SELECT id, route, outcome, status, error, failed FROM series;
DROP TABLE series;
ALTER TABLE series_with_tags RENAME TO series;

CREATE TABLE metrics (
    -- Values of the load test's own metrics in one second of one part, and durations of groups.
    part INTEGER NOT NULL REFERENCES parts (id),
    second INTEGER NOT NULL,
    name TEXT NOT NULL,                 -- `group_duration` for groups
    kind TEXT NOT NULL,                 -- counter, gauge, trend, rate or group
    unit TEXT NOT NULL,                 -- empty if there is none; ms for groups
    tags TEXT,                          -- a JSON object; NULL for tags past the limit of series
    count INTEGER NOT NULL,             -- number of values; of a rate, all of them
    sum REAL,                           -- of a counter; of a rate, the number of true values
    last REAL,                          -- of a gauge
    avg REAL,                           -- of a trend or a group, as are the percentiles
    min REAL,                           -- of a gauge, a trend or a group
    p50 REAL,
    p95 REAL,
    p99 REAL,
    max REAL,
    failed INTEGER                      -- of groups: the number that failed
);

CREATE UNIQUE INDEX metrics_of_seconds ON metrics (part, second, name, tags);

CREATE VIEW metrics_by_second AS
    -- Metrics per second, with a row for each part: percentiles of several parts cannot be merged.
    SELECT
        runs.run AS run,
        runs.name AS run_name,
        parts.agent AS agent,
        metrics.second AS second,
        runs.started_at_ns / 1000000000 + metrics.second AS time,
        metrics.name AS name,
        metrics.kind AS kind,
        metrics.unit AS unit,
        metrics.tags AS tags,
        metrics.count AS count,
        metrics.sum AS sum,
        metrics.last AS last,
        metrics.avg AS avg,
        metrics.min AS min,
        metrics.p50 AS p50,
        metrics.p95 AS p95,
        metrics.p99 AS p99,
        metrics.max AS max,
        metrics.failed AS failed
    FROM metrics
    JOIN parts ON parts.id = metrics.part
    JOIN runs ON runs.id = parts.run;

CREATE VIEW tagged_requests_by_second AS
    -- Requests per second, route and tags, of all parts together.
    SELECT
        runs.run AS run,
        runs.name AS name,
        seconds.second AS second,
        runs.started_at_ns / 1000000000 + seconds.second AS time,
        routes.origin AS origin,
        routes.route AS route,
        routes.method AS method,
        series.tags AS tags,
        sum(seconds.requests) AS requests,
        sum(CASE WHEN series.failed THEN seconds.requests ELSE 0 END) AS failed,
        sum(seconds.duration_sum_ns) / 1e6 / nullif(sum(seconds.requests), 0) AS avg_ms,
        max(seconds.duration_max_ns) / 1e6 AS max_ms
    FROM seconds
    JOIN parts ON parts.id = seconds.part
    JOIN runs ON runs.id = parts.run
    JOIN series ON series.id = seconds.series
    JOIN routes ON routes.id = series.route
    WHERE series.outcome <> 'interrupted'
    GROUP BY runs.id, seconds.second, routes.id, series.tags;
