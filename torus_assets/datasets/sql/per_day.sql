-- Attempts by day, UTC; days without an attempt are left out.
SELECT make_timestamp(epoch_us(time))::DATE AS day, count(*) AS attempts
FROM facts
WHERE student_type = 'ATTEMPT'
GROUP BY day
ORDER BY day
