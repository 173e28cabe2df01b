ALTER TABLE raw_events REPLACE PARTITION {month:UInt32} FROM raw_events__rebuilt
