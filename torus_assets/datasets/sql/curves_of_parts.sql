-- The rows of curves.sql over all students, from their counts in parts of the students.
WITH
observed AS (
    SELECT kc, opportunity, sum(students)::BIGINT AS students, sum(wrong)::BIGINT AS wrong
    FROM counts
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
