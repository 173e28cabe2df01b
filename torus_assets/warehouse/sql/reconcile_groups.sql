SELECT section_id, toYYYYMM(timestamp) AS month, count(), groupBitXor(reinterpretAsUInt64(reverse(unhex(substring(event_hash, 1, 16)))))
FROM raw_events
WHERE $mine
GROUP BY section_id, month
