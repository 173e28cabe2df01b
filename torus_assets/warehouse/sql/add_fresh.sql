INSERT INTO raw_events__rebuilt ($columns)
SELECT $columns
FROM raw_events__fresh
WHERE toYYYYMM(timestamp) = {month:UInt32}
