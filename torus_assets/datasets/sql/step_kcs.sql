-- The KCs of each row of `steps` that has any, in order of their names, and its opportunities in the same order.
CREATE OR REPLACE TEMP TABLE step_kcs AS
SELECT step_number, string_agg(kc, '~~' ORDER BY kc) AS kcs, string_agg(opportunity::VARCHAR, '~~' ORDER BY kc) AS opportunities
FROM opportunities
GROUP BY step_number
