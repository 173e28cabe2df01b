-- Tutor messages in a data set's scope, each event once.
SELECT section_id, home_page, user_id, page_id, activity_id, activity_attempt_guid, tutor_xml
FROM read_parquet($tutors, hive_partitioning = false)
WHERE section_id BETWEEN $first_section AND $last_section AND list_contains($sections, section_id)
  AND ($date_from IS NULL OR epoch_us(timestamp) >= epoch_us($date_from::TIMESTAMP))
  AND ($date_to IS NULL OR epoch_us(timestamp) < epoch_us($date_to::TIMESTAMP + INTERVAL 1 DAY))
  AND ($project_id IS NULL OR project_id = $project_id)
  AND ($page_ids IS NULL OR list_contains($page_ids, page_id))
  AND NOT list_contains($ignored, user_id)
QUALIFY row_number() OVER (PARTITION BY section_id, event_hash) = 1
ORDER BY section_id, home_page, user_id, timestamp, event_hash
