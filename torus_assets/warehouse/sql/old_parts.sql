-- Parts with rows that no query sees any more and whose files are still there.
SELECT count() FROM system.parts WHERE database = currentDatabase() AND startsWith(table, 'raw_events') AND NOT active AND rows > 0
