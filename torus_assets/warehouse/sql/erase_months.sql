SELECT toYYYYMM(timestamp) AS month, count() FROM raw_events WHERE $mine GROUP BY month ORDER BY month
