-- One row for each student, problem, problem view and step: times, durations, first attempt, counts.
--
-- start_time: null when it is a transaction of over ten minutes before, as DataShop does; the start of a problem stands however long ago.
-- milliseconds: sum over the row's transactions, those without a duration left out; null when the first one has none.
CREATE OR REPLACE TEMP TABLE steps AS
SELECT
    row_number() OVER (ORDER BY step_number) AS row_number,
    step_number,
    any_value(student) AS student,
    max(started) FILTER (attempt = 1 AND (opens_problem OR milliseconds IS NOT NULL)) AS start_time,
    min(time) AS first_time,
    min(time) FILTER (outcome = 'CORRECT') AS correct_time,
    max(time) AS end_time,
    CASE WHEN bool_or(attempt = 1 AND milliseconds IS NOT NULL) THEN sum(milliseconds)::BIGINT END AS milliseconds,
    lower(max(outcome) FILTER (attempt = 1)) AS first_attempt,
    count(*) FILTER (outcome = 'INCORRECT') AS incorrects,
    count(*) FILTER (outcome = 'HINT') AS hints,
    count(*) FILTER (outcome = 'CORRECT') AS corrects
FROM tutored
GROUP BY step_number
