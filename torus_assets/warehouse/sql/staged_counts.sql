SELECT count(), uniqExact(sipHash128(event_hash)) FROM $table
