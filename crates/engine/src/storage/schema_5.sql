-- Runs that somebody asked to delete. They are terminated first, and deleted when they owe nothing to anybody.
CREATE TABLE deletions (
    run INTEGER PRIMARY KEY
) STRICT;
