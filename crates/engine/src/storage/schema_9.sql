-- What must be known of an open run without loading it: when it is due (null: never), and whether a task of it waits for a
-- worker or a message is to be delivered. Derived from the run's state with every transition. Runs of before are loaded.
ALTER TABLE runs ADD COLUMN due INTEGER;
ALTER TABLE runs ADD COLUMN owes INTEGER NOT NULL DEFAULT 1;
