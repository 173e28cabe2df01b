(ifNull(toString(user_id), ''), ifNull(toString(home_page), '')) IN (SELECT user_id, home_page FROM raw_events__learner)
