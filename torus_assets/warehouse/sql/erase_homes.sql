SELECT DISTINCT ifNull(toString(home_page), '') FROM raw_events WHERE ifNull(toString(user_id), '') IN (SELECT user_id FROM raw_events__learner)
