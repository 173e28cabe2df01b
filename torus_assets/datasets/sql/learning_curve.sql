-- One row for each KC and opportunity, over the rows of `steps` whose first attempt was judged. A student has one such row at most.
--
-- Sums are of integers and divided once, so that no order of adding shows in the last digits.
WITH
counted AS (
    SELECT
        kc, opportunity,
        count(*) AS students,
        count(*) FILTER (first_attempt = 'correct') AS correct,
        sum(incorrects)::BIGINT AS incorrects,
        sum(hints)::BIGINT AS hints,
        sum(milliseconds)::BIGINT AS milliseconds,
        count(milliseconds) AS timed,
        (sum(milliseconds) FILTER (first_attempt = 'correct'))::BIGINT AS correct_milliseconds,
        count(milliseconds) FILTER (first_attempt = 'correct') AS correct_timed
    FROM opportunities
    JOIN steps USING (step_number)
    WHERE first_attempt IS NOT NULL
    GROUP BY kc, opportunity
)
SELECT
    kc AS "KC",
    opportunity AS "Opportunity",
    students AS "Students",
    correct AS "First Attempt Correct",
    round((students - correct) / students, 6) AS "Error Rate",
    round(incorrects / students, 6) AS "Incorrects (mean)",
    round(hints / students, 6) AS "Hints (mean)",
    round((incorrects + hints) / students, 6) AS "Assistance Score (mean)",
    round(milliseconds / timed / 1_000, 6) AS "Step Duration (mean, sec)",
    round(correct_milliseconds / correct_timed / 1_000, 6) AS "Correct Step Duration (mean, sec)",
    round(sqrt(correct / students * (students - correct) / students / students), 6) AS "Error Rate (standard error)"
FROM counted
