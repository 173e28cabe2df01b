-- Rows with the warehouse's types and their digest. Month first, as the load goes month by month.
CREATE TABLE $table
(
    $definitions,
    row_digest UInt64 MATERIALIZED cityHash64(tuple($content))
)
ENGINE = MergeTree
ORDER BY (toYYYYMM(timestamp), section_id, event_type, timestamp, event_hash)
SETTINGS min_bytes_for_wide_part = 10000000000, max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1,
    parts_to_delay_insert = 100000, parts_to_throw_insert = 100000
