SELECT count() FROM raw_events WHERE toYYYYMM(timestamp) = {month:UInt32}
