-- DuckDB
SELECT section_id, month, count(*), bit_xor(high) FROM events GROUP BY section_id, month
