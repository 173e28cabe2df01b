SELECT toYYYYMM(timestamp) AS month, count(), toString(min(timestamp)), toString(max(timestamp))
FROM raw_events__stage
GROUP BY month
ORDER BY month
