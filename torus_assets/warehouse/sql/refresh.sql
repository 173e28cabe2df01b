INSERT INTO raw_events__fresh ($columns)
SELECT $columns
FROM raw_events__stage
WHERE modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32}
  AND sipHash128(event_hash) IN (
      SELECT sipHash128(event_hash) FROM raw_events__changes
      WHERE reason = 'changed' AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32})
