-- Part attempts and tutor messages of some students of a data set, as the lake has them.
--
-- `wanted` (section_id, home_page, user_id, place) is registered by the caller; `place` numbers (section, student) in the order of the data set.
CREATE OR REPLACE TEMP TABLE placed AS
SELECT wanted.place, events.*
FROM (
    SELECT
        'part_attempt' AS kind, section_id, home_page, user_id, nullif(trim(session_id), '') AS named, make_timestamp(epoch_us(timestamp)) AS happened,
        make_timestamp(epoch_us(uploaded_at)) AS uploaded, source_file, source_line, event_hash, project_id, publication_id, page_id,
        page_attempt_guid, page_attempt_number, activity_id, activity_revision_id, activity_attempt_guid, activity_attempt_number,
        part_id, part_attempt_guid, part_attempt_number, score, out_of, response_json, feedback_json, hint_ids, attached_objectives,
        NULL::VARCHAR AS tutor_xml
    FROM read_parquet($attempts, hive_partitioning = false)
    WHERE section_id BETWEEN $first_section AND $last_section
    UNION ALL BY NAME
    SELECT
        'tutor_message' AS kind, section_id, home_page, user_id, make_timestamp(epoch_us(timestamp)) AS happened,
        make_timestamp(epoch_us(uploaded_at)) AS uploaded, source_file, source_line, event_hash, project_id, publication_id, page_id,
        page_attempt_guid, page_attempt_number, activity_id, activity_revision_id, activity_attempt_guid, activity_attempt_number, tutor_xml
    FROM read_parquet($tutors, hive_partitioning = false)
    WHERE section_id BETWEEN $first_section AND $last_section
) events
JOIN wanted
  ON wanted.section_id = events.section_id AND wanted.user_id = events.user_id AND wanted.home_page IS NOT DISTINCT FROM events.home_page
