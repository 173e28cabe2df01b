-- Attempts by score / out_of in tenths, 0 to 9; null for those without a score, or with nothing to score. The last tenth holds 1, too;
-- scores outside 0 to 1 lie in the tenth next to them.
SELECT CASE WHEN out_of > 0 THEN least(greatest(floor(10 * score / out_of), 0), 9)::INTEGER END AS tenth, count(*) AS attempts
FROM facts
WHERE student_type = 'ATTEMPT'
GROUP BY tenth
