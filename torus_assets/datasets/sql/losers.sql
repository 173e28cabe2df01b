-- The copies of `repeated` events that lose: all but the one of the smallest day, object and line.
SELECT section_id, source_file, source_line
FROM (
    SELECT
        section_id, source_file, source_line,
        row_number() OVER (PARTITION BY section_id, event_hash ORDER BY days.day, source_file, source_line) AS place
    FROM read_parquet($paths, filename = true) AS events
    JOIN days ON days.path = events.filename
    SEMI JOIN repeated ON repeated.section_id = events.section_id AND repeated.word = ('0x' || event_hash[1:15])::BIGINT
)
WHERE place > 1
ORDER BY source_file, source_line
