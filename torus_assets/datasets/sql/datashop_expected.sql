-- The part attempts that a data set has to hold, told from the lake alone: one per student and part attempt, the latest evaluation.
SELECT
    section_id, home_page, user_id, page_id, activity_id, part_id, attached_objectives,
    coalesce(json_array_length(hint_ids), 0)::BIGINT AS hints, coalesce(score IS NOT NULL AND out_of > 0, false) AS scored
FROM read_parquet($attempts, hive_partitioning = false)
WHERE section_id BETWEEN $first_section AND $last_section AND list_contains($sections, section_id)
  AND ($date_from IS NULL OR epoch_us(timestamp) >= epoch_us($date_from::TIMESTAMP))
  AND ($date_to IS NULL OR epoch_us(timestamp) < epoch_us($date_to::TIMESTAMP + INTERVAL 1 DAY))
  AND ($project_id IS NULL OR project_id = $project_id)
  AND ($page_ids IS NULL OR list_contains($page_ids, page_id))
  AND NOT list_contains($ignored, user_id)
QUALIFY row_number() OVER (
    PARTITION BY section_id, home_page, user_id, coalesce(part_attempt_guid, event_hash) ORDER BY timestamp DESC, uploaded_at DESC, event_hash DESC
) = 1
