INSERT INTO raw_events ($columns)
SELECT $columns
FROM raw_events__stage
WHERE toYYYYMM(timestamp) = {month:UInt32} AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32}
  AND sipHash128(event_hash) NOT IN (SELECT sipHash128(event_hash) FROM raw_events__found WHERE toYYYYMM(timestamp) = {month:UInt32} AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32})
