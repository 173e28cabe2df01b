-- For a table that is not divided by month. The kept text of the mutation names no one.
ALTER TABLE raw_events DELETE WHERE $mine SETTINGS mutations_sync = 2
