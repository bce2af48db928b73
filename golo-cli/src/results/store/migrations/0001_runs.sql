-- Comments inside of a statement are kept with it: `.schema` of sqlite3 shows them.
-- A change to what is here is another migration with the next number.

CREATE TABLE runs (
    -- A run: one plan, delivered by one agent or by several. What agents and reports call it is `run`.
    -- Moments are nanoseconds since the Unix epoch, durations are nanoseconds.
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,                 -- the job's name
    load_test TEXT NOT NULL,
    plan TEXT NOT NULL,                 -- the plan of the whole run, in words
    thresholds TEXT NOT NULL,           -- what it must keep to, one a line
    state TEXT NOT NULL,                -- running, completed, failed or cancelled: see `parts`
    reason TEXT NOT NULL,               -- why it failed or was cancelled
    parts_expected INTEGER NOT NULL,    -- over so many agents the plan is shared
    started_at_ns INTEGER,              -- when the measured part began; NULL until it has
    ended_at_ns INTEGER,                -- when the last of its parts was over
    added_at_ns INTEGER NOT NULL,       -- when this database first heard of it
    requests INTEGER NOT NULL DEFAULT 0,
    requests_failed INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX runs_by_time ON runs (added_at_ns);

CREATE TABLE parts (
    -- What one agent delivers of a run.
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    agent TEXT NOT NULL,
    job TEXT NOT NULL,                  -- the job, as the agent calls it
    share_index INTEGER NOT NULL,       -- its users and starts are the numbers i with i % share_of = share_index
    share_of INTEGER NOT NULL,
    plan BLOB NOT NULL,                 -- golo.engine.v1.Plan
    binary_sha256 TEXT NOT NULL,        -- empty where it is not known
    golo_version TEXT NOT NULL,
    next_record INTEGER NOT NULL,       -- records 0 to next_record - 1 are here
    next_second INTEGER NOT NULL,       -- the second after the last that it told of
    has_finished INTEGER NOT NULL,      -- 1 once the engine has said that nothing runs any more
    state TEXT NOT NULL,                -- running, completed, failed or cancelled
    reason TEXT NOT NULL,
    ended_at_ns INTEGER,                -- by the agent's clock
    heard_at_ns INTEGER NOT NULL,       -- when its last record was kept, by this machine's clock
    UNIQUE (run, agent)
);

CREATE TABLE records (
    -- What agents told, record by record: golo.results.v1.Record, compressed with zstd if that makes it shorter.
    id INTEGER PRIMARY KEY,
    part INTEGER NOT NULL REFERENCES parts (id),
    number INTEGER NOT NULL,            -- from 0
    record BLOB NOT NULL,
    UNIQUE (part, number)
);

CREATE TABLE routes (
    -- What was requested.
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    origin TEXT NOT NULL,               -- scheme, host and port; empty for what is no HTTP
    route TEXT NOT NULL,                -- as the load test named it, or the path with what varies as {id}
    method TEXT NOT NULL,               -- MEASURE for a measured step; empty for all that came after too many others
    UNIQUE (run, origin, route, method)
);

CREATE TABLE series (
    -- What was requested, and how that ended.
    id INTEGER PRIMARY KEY,
    route INTEGER NOT NULL REFERENCES routes (id),
    outcome TEXT NOT NULL,              -- answered, unexpected (the load test wanted another status), failed, interrupted
    status INTEGER NOT NULL,            -- of the response; 0 where there is none
    error TEXT NOT NULL,                -- the kind of error; empty where there is none
    failed INTEGER NOT NULL,            -- 1 where such a request counts as failed
    UNIQUE (route, outcome, status, error)
);

CREATE TABLE seconds (
    -- The requests of one series that ended in one second of one part. Their histogram is in `records`. Files that were made
    -- before version 6 have further columns, which are null in later runs: percentiles of a series.
    part INTEGER NOT NULL REFERENCES parts (id),
    second INTEGER NOT NULL,            -- of the measured part, from 0; the last may be longer
    series INTEGER NOT NULL REFERENCES series (id),
    requests INTEGER NOT NULL,
    received_bytes INTEGER NOT NULL,    -- of responses' bodies
    sent_bytes INTEGER NOT NULL,        -- of requests' bodies
    duration_sum_ns INTEGER NOT NULL,   -- from sending a request to the last byte of its body
    duration_max_ns INTEGER,
    durations BLOB,                     -- golo.engine.v1.Histogram, if `records` has the second in several pieces
    PRIMARY KEY (part, second, series)
) WITHOUT ROWID;

CREATE TABLE triggers (
    -- What became of the triggers of one part in one second, and who triggered.
    part INTEGER NOT NULL REFERENCES parts (id),
    second INTEGER NOT NULL,
    record INTEGER NOT NULL,            -- the number of the record that told it, whose histograms these are made of
    users INTEGER,                      -- at the end of the second; NULL in the rest after the last
    due INTEGER NOT NULL,
    done INTEGER NOT NULL,              -- failed ones among them
    failed INTEGER NOT NULL,            -- panicked ones among them
    panicked INTEGER NOT NULL,
    interrupted INTEGER NOT NULL,
    dropped_busy INTEGER NOT NULL,      -- as many as are allowed were in flight
    dropped_unready INTEGER NOT NULL,   -- their user could not start
    dropped_stopped INTEGER NOT NULL,   -- the run was stopped
    service_sum_ns INTEGER NOT NULL,    -- from the actual start to the end
    service_min_ns INTEGER,
    service_p50_ns INTEGER,
    service_p90_ns INTEGER,
    service_p95_ns INTEGER,
    service_p99_ns INTEGER,
    service_p999_ns INTEGER,
    service_max_ns INTEGER,
    response_sum_ns INTEGER NOT NULL,   -- from when it was due to the end
    response_min_ns INTEGER,
    response_p50_ns INTEGER,
    response_p90_ns INTEGER,
    response_p95_ns INTEGER,
    response_p99_ns INTEGER,
    response_p999_ns INTEGER,
    response_max_ns INTEGER,
    PRIMARY KEY (part, second)
) WITHOUT ROWID;

CREATE TABLE merged_seconds (
    -- The requests of one route in one second, of all parts and outcomes together: percentiles cannot be made of
    -- percentiles, so that these are made of the histograms whenever one comes. Requests that the run cut off are counted
    -- apart, and are in nothing else here.
    run INTEGER NOT NULL REFERENCES runs (id),
    second INTEGER NOT NULL,
    route INTEGER NOT NULL,             -- of `routes`; 0 for all of them together
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    interrupted INTEGER NOT NULL,
    received_bytes INTEGER NOT NULL,
    sent_bytes INTEGER NOT NULL,
    duration_sum_ns INTEGER NOT NULL,
    duration_min_ns INTEGER,
    duration_p50_ns INTEGER,
    duration_p90_ns INTEGER,
    duration_p95_ns INTEGER,
    duration_p99_ns INTEGER,
    duration_p999_ns INTEGER,
    duration_max_ns INTEGER,
    PRIMARY KEY (run, second, route)
) WITHOUT ROWID;

CREATE TABLE summaries (
    -- What a run came to, worked out of all its records when it ended or was listed first. Where it has more records by
    -- now, it is worked out anew once it is listed.
    run INTEGER PRIMARY KEY REFERENCES runs (id),
    records INTEGER NOT NULL,           -- of all parts, that it was worked out of
    begun_at_ns INTEGER NOT NULL,       -- when its first part was asked for
    verdict TEXT NOT NULL,              -- as `golo show` begins: PASSED, FAILED, INVALID, STOPPED, DIED, ...
    requests INTEGER NOT NULL,
    requests_failed INTEGER NOT NULL,
    whole_time_ns INTEGER NOT NULL,
    duration_p95_ns INTEGER
);

CREATE TABLE outputs (
    -- Requests one by one, as POST /push/{db} brought them.
    id INTEGER PRIMARY KEY,
    db TEXT NOT NULL,                   -- the name that they were pushed under
    sequence_id TEXT NOT NULL,
    url TEXT NOT NULL,                  -- without user and password
    method TEXT NOT NULL,
    status INTEGER NOT NULL,            -- 0 where no response came
    size_bytes INTEGER NOT NULL,        -- of the response's body; -1 where it is not known
    timestamp_ns INTEGER NOT NULL,      -- when the response was complete
    duration_ns INTEGER NOT NULL,
    error TEXT,
    route TEXT,                         -- where the load test named one
    failed INTEGER NOT NULL             -- 1 where it counts as failed
);

CREATE INDEX outputs_by_time ON outputs (db, timestamp_ns);

CREATE VIEW requests_by_second AS
    -- Requests per second and route. Durations are milliseconds.
    SELECT
        runs.run AS run,
        runs.name AS name,
        merged.second AS second,
        runs.started_at_ns / 1000000000 + merged.second AS time, -- Unix seconds, as Grafana wants them
        routes.origin AS origin,
        routes.route AS route,
        routes.method AS method,
        merged.requests AS requests,
        merged.failed AS failed,
        merged.interrupted AS interrupted,
        merged.received_bytes AS received_bytes,
        merged.sent_bytes AS sent_bytes,
        merged.duration_min_ns / 1e6 AS min_ms,
        merged.duration_sum_ns / 1e6 / nullif(merged.requests, 0) AS avg_ms,
        merged.duration_p50_ns / 1e6 AS p50_ms,
        merged.duration_p90_ns / 1e6 AS p90_ms,
        merged.duration_p95_ns / 1e6 AS p95_ms,
        merged.duration_p99_ns / 1e6 AS p99_ms,
        merged.duration_p999_ns / 1e6 AS p999_ms,
        merged.duration_max_ns / 1e6 AS max_ms
    FROM merged_seconds AS merged
    JOIN runs ON runs.id = merged.run
    JOIN routes ON routes.id = merged.route;

CREATE VIEW run_by_second AS
    -- What a run did each second: its requests of all routes, its users and its triggers. Durations are milliseconds.
    SELECT
        runs.run AS run,
        runs.name AS name,
        merged.second AS second,
        runs.started_at_ns / 1000000000 + merged.second AS time,
        sum(triggers.users) AS users,
        merged.requests AS requests,
        merged.failed AS failed,
        merged.interrupted AS interrupted,
        merged.received_bytes AS received_bytes,
        merged.sent_bytes AS sent_bytes,
        merged.duration_min_ns / 1e6 AS min_ms,
        merged.duration_sum_ns / 1e6 / nullif(merged.requests, 0) AS avg_ms,
        merged.duration_p50_ns / 1e6 AS p50_ms,
        merged.duration_p90_ns / 1e6 AS p90_ms,
        merged.duration_p95_ns / 1e6 AS p95_ms,
        merged.duration_p99_ns / 1e6 AS p99_ms,
        merged.duration_p999_ns / 1e6 AS p999_ms,
        merged.duration_max_ns / 1e6 AS max_ms,
        sum(triggers.due) AS triggers_due,
        sum(triggers.done) AS triggers_done,
        sum(triggers.failed) AS triggers_failed,
        sum(triggers.interrupted) AS triggers_interrupted,
        sum(triggers.dropped_busy + triggers.dropped_unready + triggers.dropped_stopped) AS triggers_dropped
    FROM merged_seconds AS merged
    JOIN runs ON runs.id = merged.run
    JOIN parts ON parts.run = merged.run
    JOIN triggers ON triggers.part = parts.id AND triggers.second = merged.second
    WHERE merged.route = 0
    GROUP BY merged.run, merged.second;

CREATE VIEW run_list AS
    -- Runs with their times as text, the newest first.
    SELECT
        run,
        name,
        load_test,
        plan,
        state,
        reason,
        strftime('%Y-%m-%dT%H:%M:%SZ', started_at_ns / 1000000000, 'unixepoch') AS started_at,
        strftime('%Y-%m-%dT%H:%M:%SZ', ended_at_ns / 1000000000, 'unixepoch') AS ended_at,
        requests,
        requests_failed
    FROM runs
    ORDER BY added_at_ns DESC, id DESC;
