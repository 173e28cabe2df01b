-- Everyone with an event in the sections, with the number of her part attempts and tutor messages (page views count as none).
SELECT section_id, home_page, user_id, sum(n)::BIGINT AS rows
FROM (
    SELECT section_id, home_page, user_id, 1 AS n FROM read_parquet($attempts, hive_partitioning = false) WHERE list_contains($sections, section_id)
    UNION ALL
    SELECT section_id, home_page, user_id, 1 FROM read_parquet($tutors, hive_partitioning = false) WHERE list_contains($sections, section_id)
    UNION ALL
    SELECT section_id, home_page, user_id, 0 FROM read_parquet($views, hive_partitioning = false) WHERE list_contains($sections, section_id)
)
GROUP BY section_id, home_page, user_id
