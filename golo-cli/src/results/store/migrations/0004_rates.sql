-- Rates are over the time in which starts were made, and no longer over the grace too. Summaries are worked out anew once they
-- are listed: their verdicts may be others, since a run in which nothing succeeded fails.
DELETE FROM summaries;
ALTER TABLE summaries ADD COLUMN requests_interrupted INTEGER NOT NULL DEFAULT 0;  -- cut off by the end of the run
ALTER TABLE summaries ADD COLUMN rated_requests INTEGER NOT NULL DEFAULT 0;  -- those that the rate counts
ALTER TABLE summaries ADD COLUMN rate_time_ns INTEGER NOT NULL DEFAULT 0;    -- over which time the rate is
