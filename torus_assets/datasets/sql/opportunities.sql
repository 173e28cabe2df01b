-- Each KC of each row of `steps`, and how many rows of the student with that KC there were up to this one.
--
-- A row carries the KCs of all its transactions, each once. Rows are counted in order of their first transaction; ties by number.
CREATE OR REPLACE TEMP TABLE opportunities AS
SELECT step_number, kc, row_number() OVER (PARTITION BY student, kc ORDER BY first_time, step_number) AS opportunity
FROM (SELECT DISTINCT step_number, unnest(skills) AS kc FROM tutored)
JOIN steps USING (step_number)
