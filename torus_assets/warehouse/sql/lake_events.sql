-- DuckDB: of an event that several days hold, the earliest day counts.
CREATE TABLE events AS
SELECT high, low, arg_min(section_id, day) AS section_id, arg_min(month, day) AS month, min(day) AS day
FROM read_parquet($$files)
GROUP BY high, low
