SELECT
    reinterpretAsUInt64(reverse(unhex(substring(event_hash, 1, 16)))) AS high,
    reinterpretAsUInt64(reverse(unhex(substring(event_hash, 17, 16)))) AS low,
    $upload_date AS day,
    $mine AS mine
FROM raw_events
WHERE section_id = {section:UInt64} AND toYYYYMM(timestamp) = {month:UInt32}
