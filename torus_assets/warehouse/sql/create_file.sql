-- Where the bytes of one Parquet file land on a server, with the lake's types.
CREATE TABLE raw_events__file ($definitions)
ENGINE = MergeTree
ORDER BY tuple()
SETTINGS min_bytes_for_wide_part = 10000000000
