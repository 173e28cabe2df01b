-- Every cast fails rather than change a value, except that an integer that does not fit becomes null.
INSERT INTO $table ($columns)
SELECT $expressions
FROM $source
