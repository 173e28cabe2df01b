INSERT INTO raw_events__rebuilt ($columns)
SELECT $columns
FROM raw_events
WHERE toYYYYMM(timestamp) = {month:UInt32} AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32}
  AND sipHash128(event_hash, timestamp) NOT IN (
      SELECT sipHash128(event_hash, timestamp) FROM raw_events__changes WHERE toYYYYMM(timestamp) = {month:UInt32} AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32}
      UNION ALL
      SELECT sipHash128(event_hash, timestamp) FROM raw_events__fresh WHERE toYYYYMM(timestamp) = {month:UInt32} AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32})
