-- Rows of ours (row_digest is 0 in rows of other writers) that changed, that a later day holds, or that are there twice.
INSERT INTO raw_events__changes (event_hash, timestamp, reason)
SELECT event_hash, any(timestamp), 'changed'
FROM raw_events__found
WHERE toYYYYMM(timestamp) = {month:UInt32} AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32}
GROUP BY event_hash
HAVING max(row_digest != 0 AND (upload_date > {day:Date} OR (upload_date = {day:Date} AND NOT same))) OR count() > 1
