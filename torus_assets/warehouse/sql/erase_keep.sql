INSERT INTO raw_events__rebuilt ($columns)
SELECT $columns
FROM raw_events
WHERE toYYYYMM(timestamp) = {month:UInt32} AND NOT $mine
