-- DuckDB
SELECT day, count(DISTINCT (high, low)) FROM there
WHERE mine AND NOT EXISTS (
    FROM events
    WHERE events.section_id = $$section AND events.month = $$month AND there.high = events.high AND there.low = events.low)
GROUP BY day
