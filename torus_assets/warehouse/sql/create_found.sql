-- Rows of raw_events whose event is staged; `same` when all their columns are.
CREATE TABLE raw_events__found
(
    event_hash String,
    timestamp DateTime64(3, 'UTC'),
    upload_date Date,
    row_digest UInt64,
    same Bool
)
ENGINE = MergeTree
ORDER BY (toYYYYMM(timestamp), event_hash)
