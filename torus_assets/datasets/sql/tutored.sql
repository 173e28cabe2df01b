-- Every transaction with a step: which row of the student-step rollup it belongs to, its place among that row's transactions, and how long it took.
--
-- Read: `facts` (FACTS in datashop/model.py). Untutored actions (step null) are left out after they have served as what came before.
--
-- step_number: `number` of the first transaction of the row; names the row in all that follows.
-- attempt: attempt at the step, from 1, in order of time; ties by number.
-- started: the later of the student's transaction before it in the session, and the start of the problem view. A problem that claims
--   to have started after its own transaction says nothing, and is not used.
-- milliseconds: since `started`; null when that is unknown or over ten minutes ago (spec/datashop.md 4).
CREATE OR REPLACE TEMP TABLE tutored AS
WITH
preceded AS (
    SELECT
        number, section_id, student, problem_hierarchy, problem, view, step, time, outcome, skills,
        lag(time) OVER (PARTITION BY student, session ORDER BY time, number) AS before,
        CASE WHEN problem_start <= time THEN problem_start END AS opened
    FROM facts
),
numbered AS (
    SELECT
        first_value(number) OVER of_row AS step_number, row_number() OVER of_row AS attempt, student, time, outcome, skills,
        greatest(before, opened) AS started, coalesce(opened >= before, opened IS NOT NULL) AS opens_problem
    FROM preceded
    WHERE step IS NOT NULL
    WINDOW of_row AS (PARTITION BY section_id, student, problem_hierarchy, problem, view, step ORDER BY time, number)
)
SELECT *, CASE WHEN epoch_ms(time) - epoch_ms(started) <= 600_000 THEN epoch_ms(time) - epoch_ms(started) END AS milliseconds
FROM numbered
