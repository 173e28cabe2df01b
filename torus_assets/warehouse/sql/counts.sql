SELECT event_type, count(), uniqExact(sipHash128(event_hash)) FROM raw_events GROUP BY event_type ORDER BY event_type
