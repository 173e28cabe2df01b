SELECT engine, partition_key FROM system.tables WHERE database = currentDatabase() AND name = {table:String}
