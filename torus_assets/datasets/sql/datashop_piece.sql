-- What becomes of each row of `placed`, and in which session it stands. Narrow on purpose: windows over whole rows cost six times as much.
--
-- fate: the first that applies of date, project, page, ignored_student, duplicates_across_days, superseded_evaluation; else `row`.
-- sitting: events of a student in a section without a pause of over 30 minutes; named by the hash of its first event.
-- session_id: the event's own; else the last one named in the sitting so far, else the next one named in it, else null. Messages of an
--   embedded tutor, which never name one, take the session of their activity attempt's first message, so that replies stay with
--   what they answer.
CREATE OR REPLACE TEMP TABLE piece AS
WITH
restricted AS (
    SELECT
        rowid AS line, place, kind, named, happened, uploaded, source_file, source_line, event_hash, activity_attempt_guid,
        coalesce(part_attempt_guid, event_hash) AS attempt,
        CASE
            WHEN $date_from IS NOT NULL AND happened < $date_from::TIMESTAMP THEN 'date'
            WHEN $date_to IS NOT NULL AND happened >= $date_to::TIMESTAMP + INTERVAL 1 DAY THEN 'date'
            WHEN $project_id IS NOT NULL AND project_id IS DISTINCT FROM $project_id THEN 'project'
            WHEN $page_ids IS NOT NULL AND NOT coalesce(list_contains($page_ids, page_id), false) THEN 'page'
            WHEN list_contains($ignored, user_id) THEN 'ignored_student'
        END AS excluded
    FROM placed
),
copied AS (
    SELECT *,
        CASE WHEN excluded IS NULL THEN
            row_number() OVER (PARTITION BY place, event_hash, excluded IS NULL ORDER BY uploaded::DATE, source_file, source_line)
        END AS copy
    FROM restricted
),
judged AS (
    SELECT line, place, kind, named, happened, event_hash, activity_attempt_guid,
        CASE
            WHEN excluded IS NOT NULL THEN excluded
            WHEN copy > 1 THEN 'duplicates_across_days'
            WHEN kind = 'part_attempt' AND row_number() OVER (
                PARTITION BY place, kind, attempt, copy = 1 ORDER BY happened DESC, uploaded DESC, event_hash DESC
            ) > 1 THEN 'superseded_evaluation'
            ELSE 'row'
        END AS fate
    FROM copied
),
paused AS (
    SELECT *,
        coalesce(happened - lag(happened) OVER (PARTITION BY place ORDER BY happened, event_hash) > INTERVAL 30 MINUTE, true)::INTEGER AS opens
    FROM judged
    WHERE fate = 'row'
),
seated AS (
    SELECT *, sum(opens) OVER (PARTITION BY place ORDER BY happened, event_hash ROWS UNBOUNDED PRECEDING) AS sitting_number
    FROM paused
),
named AS (
    SELECT *,
        coalesce(
            named,
            last_value(named IGNORE NULLS) OVER (sitting ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
            first_value(named IGNORE NULLS) OVER (sitting ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
        ) AS nearest,
        first_value(event_hash) OVER (sitting ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS sitting
    FROM seated
    WINDOW sitting AS (PARTITION BY place, sitting_number ORDER BY happened, event_hash)
),
settled AS (
    SELECT *,
        CASE kind
            WHEN 'tutor_message' THEN first_value(nearest) OVER (
                PARTITION BY place, sitting_number, kind, activity_attempt_guid ORDER BY happened, event_hash
            )
            ELSE nearest
        END AS session_id
    FROM named
)
SELECT line, kind, fate, NULL AS session_id, NULL AS sitting, NULL AS session_start FROM judged WHERE fate <> 'row'
UNION ALL
SELECT line, kind, fate, session_id, CASE WHEN session_id IS NULL THEN sitting END AS sitting,
    min(happened) OVER (PARTITION BY place, session_id, CASE WHEN session_id IS NULL THEN sitting END) AS session_start
FROM settled
