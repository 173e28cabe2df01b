-- Guids of part attempts that several students (or one in several sections) have, which no sound platform writes: a transaction id must be
-- unique, and one such pair must not cost a whole data set.
SELECT part_attempt_guid
FROM read_parquet($attempts, hive_partitioning = false)
WHERE list_contains($sections, section_id) AND part_attempt_guid IS NOT NULL
GROUP BY part_attempt_guid
HAVING min(section_id) <> max(section_id) OR min(user_id) <> max(user_id) OR count(DISTINCT home_page) > 1
