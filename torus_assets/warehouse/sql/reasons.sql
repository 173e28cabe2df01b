SELECT reason, count() FROM raw_events__changes GROUP BY reason
