-- The rows that are exported, in order: section and student, session, time; ties by place in the course, then by hash.
--
-- opened: when the page was last opened before the event, if that was in the same sitting (30 minutes before the session began at most).
WITH views AS (
    SELECT wanted.place, page_attempt_guid, make_timestamp(epoch_us(timestamp)) AS opened
    FROM read_parquet($views, hive_partitioning = false) viewed
    JOIN wanted
      ON wanted.section_id = viewed.section_id AND wanted.user_id = viewed.user_id AND wanted.home_page IS NOT DISTINCT FROM viewed.home_page
    WHERE viewed.section_id BETWEEN $first_section AND $last_section AND page_attempt_guid IS NOT NULL
),
opening AS (
    SELECT line, max(opened) AS opened
    FROM (
        SELECT piece.line, views.opened
        FROM piece
        JOIN placed ON placed.rowid = piece.line
        ASOF JOIN views
          ON views.place = placed.place AND views.page_attempt_guid = placed.page_attempt_guid AND views.opened <= placed.happened
        WHERE piece.fate = 'row' AND views.opened >= piece.session_start - INTERVAL 30 MINUTE
    )
    GROUP BY line
)
SELECT
    placed.place, placed.kind, section_id, home_page, user_id, session_id, sitting, strftime(happened, '%Y-%m-%d %H:%M:%S.%g') AS time,
    strftime(opened, '%Y-%m-%d %H:%M:%S.%g') AS opened, event_hash, project_id, publication_id, page_id, page_attempt_guid, page_attempt_number,
    activity_id, activity_revision_id, activity_attempt_guid, activity_attempt_number, part_id, part_attempt_guid, part_attempt_number,
    score, out_of, response_json, feedback_json, hint_ids, attached_objectives, tutor_xml
FROM piece
JOIN placed ON placed.rowid = piece.line
LEFT JOIN opening ON opening.line = piece.line
WHERE fate = 'row'
ORDER BY
    placed.place, session_start, coalesce(session_id, sitting), session_id IS NULL, happened, page_attempt_number, activity_id, activity_attempt_number,
    length(part_id), part_id, part_attempt_number, event_hash
