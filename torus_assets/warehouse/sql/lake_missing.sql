-- DuckDB: `there` holds ClickHouse's rows of the section and month.
INSERT INTO missing
SELECT high, low, day FROM events
WHERE section_id = $$section AND month = $$month AND NOT EXISTS (FROM there WHERE there.high = events.high AND there.low = events.low)
