CREATE TABLE IF NOT EXISTS raw_events
(
    $definitions,
    INDEX idx_user_id user_id TYPE bloom_filter GRANULARITY 1,
    INDEX idx_upload_date upload_date TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (section_id, event_type, timestamp, event_hash)
SETTINGS min_bytes_for_wide_part = 134217728
