SELECT max(parts)
FROM (
    SELECT count() AS parts FROM system.parts
    WHERE database = currentDatabase() AND table = 'raw_events' AND active
    GROUP BY partition_id
)
