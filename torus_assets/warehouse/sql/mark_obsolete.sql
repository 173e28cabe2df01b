-- Rows of this day that the lake's day does not have at that time; by slices of the whole day.
INSERT INTO raw_events__changes (event_hash, timestamp, reason)
SELECT
    event_hash, timestamp,
    if(sipHash128(event_hash) IN (SELECT sipHash128(event_hash) FROM raw_events__stage WHERE modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32}), 'moved', 'gone')
FROM raw_events
WHERE upload_date = {day:Date}
  AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32}
  AND sipHash128(event_hash, timestamp) NOT IN (
      SELECT sipHash128(event_hash, timestamp) FROM raw_events__stage WHERE modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32})
