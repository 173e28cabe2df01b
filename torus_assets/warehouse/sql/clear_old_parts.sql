-- Drops a partition that never exists. ClickHouse then removes parts that are due at once; an idle chDB does not for minutes.
ALTER TABLE raw_events DROP PARTITION ID 'none'
