SELECT month, sum(lost), sum(fresh)
FROM (
    SELECT toYYYYMM(timestamp) AS month, count() AS lost, 0 AS fresh FROM raw_events__changes GROUP BY month
    UNION ALL
    SELECT toYYYYMM(timestamp) AS month, 0 AS lost, count() AS fresh FROM raw_events__fresh GROUP BY month
)
GROUP BY month
ORDER BY month
