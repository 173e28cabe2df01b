event_hash IN (SELECT event_hash FROM raw_events__homes WHERE upload_date = {day:Date})
