-- The learner to erase, as other tables spell the home page: a table, since the text and the parameters of a query may be logged.
CREATE TABLE raw_events__learner (user_id String, home_page String) ENGINE = MergeTree ORDER BY tuple()
