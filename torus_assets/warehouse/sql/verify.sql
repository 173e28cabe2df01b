SELECT count(), uniqExact(sipHash128(event_hash))
FROM raw_events
PREWHERE timestamp IN (SELECT timestamp FROM raw_events__stage WHERE toYYYYMM(timestamp) = {month:UInt32} AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32})
WHERE timestamp BETWEEN {first:DateTime64(3, 'UTC')} AND {last:DateTime64(3, 'UTC')}
  AND sipHash128(event_hash) IN (SELECT sipHash128(event_hash) FROM raw_events__stage WHERE toYYYYMM(timestamp) = {month:UInt32} AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32})
