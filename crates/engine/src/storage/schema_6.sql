-- What the query planner is to believe: rows of the index, then rows for one value of its first column, of the first two, and
-- so on. Fixed numbers, so that plans are good and the same in every database, whatever is in it at the moment.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('runs', 'runs_by_run_id', '1000000 1'),
    ('runs', 'runs_by_id', '1000000 200000 200000 2'),
    ('runs', 'runs_by_start_time', '1000000 200000 200000 1'),
    ('runs', 'runs_by_order', '1000000 200000 200000 2 1 1'),
    ('runs', 'runs_by_status', '1000000 200000 200000 40000 2 1 1'),
    ('runs', 'runs_by_type', '1000000 200000 200000 10000 2 1 1'),
    ('runs', 'runs_by_parent', '100000 20000 10'),
    ('search_attribute_values', 'search_attribute_values', '2000000 2 1 1'),
    ('search_attribute_values', 'search_attribute_values_by_value', '2000000 100000 20 1');
ANALYZE sqlite_schema;
