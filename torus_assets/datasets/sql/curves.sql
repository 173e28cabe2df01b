-- Error rate by opportunity of the KCs with the most observations; ties by name.
WITH
observed AS (
    SELECT kc, opportunity, count(*) AS students, count(*) FILTER (first_attempt <> 'correct') AS wrong
    FROM opportunities
    JOIN steps USING (step_number)
    WHERE first_attempt IS NOT NULL
    GROUP BY kc, opportunity
),
frequent AS (
    SELECT kc, sum(students) AS observations
    FROM observed
    GROUP BY kc
    ORDER BY observations DESC, kc
    LIMIT $skills
)
SELECT kc, opportunity, round(wrong / students, 6), students
FROM observed
JOIN frequent USING (kc)
WHERE opportunity <= $opportunities
ORDER BY observations DESC, kc, opportunity
