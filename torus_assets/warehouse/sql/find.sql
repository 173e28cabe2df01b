-- By time, not by section: the same bytes found under two keys may have got two sections.
INSERT INTO raw_events__found (event_hash, timestamp, upload_date, row_digest, same)
SELECT
    event_hash, timestamp, $upload_date, $row_digest,
    sipHash128(event_hash, $row_digest) IN (SELECT sipHash128(event_hash, row_digest) FROM raw_events__stage WHERE toYYYYMM(timestamp) = {month:UInt32} AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32})
FROM raw_events
PREWHERE timestamp IN (SELECT timestamp FROM raw_events__stage WHERE toYYYYMM(timestamp) = {month:UInt32} AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32})
WHERE timestamp BETWEEN {first:DateTime64(3, 'UTC')} AND {last:DateTime64(3, 'UTC')}
  AND sipHash128(event_hash) IN (SELECT sipHash128(event_hash) FROM raw_events__stage WHERE toYYYYMM(timestamp) = {month:UInt32} AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32})
