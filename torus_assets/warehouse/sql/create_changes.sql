-- Rows that raw_events has to lose, by event and time.
CREATE TABLE raw_events__changes
(
    event_hash String,
    timestamp DateTime64(3, 'UTC'),
    reason LowCardinality(String)
)
ENGINE = MergeTree
ORDER BY (toYYYYMM(timestamp), reason, event_hash)
