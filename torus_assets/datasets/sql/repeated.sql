-- Events that may be there more than once: the first 60 bits of their hashes, by section. `part` of `parts` halves of a large section.
CREATE OR REPLACE TEMP TABLE repeated AS
SELECT section_id, word
FROM (
    SELECT section_id, ('0x' || event_hash[1:15])::BIGINT AS word
    FROM read_parquet($paths)
    WHERE section_id IN (SELECT unnest($sections::BIGINT[]))
)
WHERE word % $parts = $part
GROUP BY section_id, word
HAVING count(*) > 1
