-- Events that the day lost and another day of the lake still has.
CREATE TABLE raw_events__homes (event_hash String, upload_date Date) ENGINE = MergeTree ORDER BY (upload_date, event_hash)
