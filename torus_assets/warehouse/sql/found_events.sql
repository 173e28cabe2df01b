SELECT uniqExact(sipHash128(event_hash)) FROM raw_events__found WHERE toYYYYMM(timestamp) = {month:UInt32} AND modulo(cityHash64(event_hash), {slices:UInt32}) = {slice:UInt32}
