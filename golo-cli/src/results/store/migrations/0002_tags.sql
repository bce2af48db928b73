CREATE TABLE tags (
    -- The tags of triggers of one part in one second: how often each value of a key came, and a row for all of a key. A key
    -- that has more than ten different numbers in the second has that row alone. Tags under a key beyond the first 50 are in
    -- `records` alone, as a count.
    part INTEGER NOT NULL REFERENCES parts (id),
    second INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT,                         -- NULL for all values together
    passed INTEGER NOT NULL,            -- tags of triggers that passed
    failed INTEGER NOT NULL,            -- tags of triggers that failed
    number_avg REAL,                    -- of all values together, where each is a number; else NULL, as what follows
    number_min REAL,
    number_p50 REAL,
    number_p95 REAL,
    number_p99 REAL,
    number_max REAL
);

CREATE UNIQUE INDEX tags_of_seconds ON tags (part, second, key, value);

CREATE VIEW tags_by_second AS
    -- How often each value of a tag came each second, of all parts together.
    SELECT
        runs.run AS run,
        runs.name AS name,
        tags.second AS second,
        runs.started_at_ns / 1000000000 + tags.second AS time,
        tags.key AS key,
        tags.value AS value,
        sum(tags.passed) AS passed,
        sum(tags.failed) AS failed
    FROM tags
    JOIN parts ON parts.id = tags.part
    JOIN runs ON runs.id = parts.run
    WHERE tags.value IS NOT NULL
    GROUP BY runs.id, tags.second, tags.key, tags.value;
