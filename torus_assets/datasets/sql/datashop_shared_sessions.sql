-- Session ids that more than one user has: DataShop needs each to be one student's.
SELECT DISTINCT session_id
FROM read_parquet($attempts, hive_partitioning = false)
WHERE list_contains($sections, section_id) AND session_id IS NOT NULL
GROUP BY session_id
HAVING count(DISTINCT (home_page, user_id)) > 1
