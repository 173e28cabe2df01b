-- DuckDB
SELECT count(*) FILTER (mine), count(*) - count(DISTINCT (high, low)) FROM there
