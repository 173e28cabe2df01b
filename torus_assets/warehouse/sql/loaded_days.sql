SELECT DISTINCT upload_date FROM raw_events WHERE has({days:Array(Date)}, upload_date)
