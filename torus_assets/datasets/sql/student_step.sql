-- The student-step rollup under DataShop's column names. KCs of a row are in order of their names.
SELECT
    row_number AS "Row",
    section_id AS "Section Id",
    facts.student AS "Anon Student Id",
    session AS "Session Id",
    problem_hierarchy AS "Problem Hierarchy",
    problem AS "Problem Name",
    view AS "Problem View",
    step AS "Step Name",
    start_time AS "Step Start Time",
    first_time AS "First Transaction Time",
    correct_time AS "Correct Transaction Time",
    end_time AS "Step End Time",
    milliseconds / 1_000 AS "Step Duration (sec)",
    CASE WHEN first_attempt = 'correct' THEN milliseconds / 1_000 END AS "Correct Step Duration (sec)",
    CASE WHEN first_attempt IN ('incorrect', 'hint') THEN milliseconds / 1_000 END AS "Error Step Duration (sec)",
    first_attempt AS "First Attempt",
    incorrects AS "Incorrects",
    hints AS "Hints",
    corrects AS "Corrects",
    incorrects + hints AS "Assistance Score",
    kcs AS "KC (Default)",
    opportunities AS "Opportunity (Default)"
FROM steps
JOIN facts ON facts.number = steps.step_number
LEFT JOIN step_kcs USING (step_number)
