SELECT event_hash FROM raw_events__changes WHERE reason = 'gone'
