-- Seconds from upload to row, of the rows of a day that came in since an instant of the server's clock. A clock that is behind gives 0.
SELECT count(), quantileExact(0.5)(seconds), quantileExact(0.95)(seconds), max(seconds)
FROM (
    SELECT greatest(0, dateDiff('second', uploaded_at, inserted_at)) AS seconds
    FROM raw_events
    WHERE upload_date = {day:Date} AND toUnixTimestamp(inserted_at) >= {since:UInt32} AND uploaded_at IS NOT NULL
)
