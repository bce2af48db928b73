-- Version 3: which routes are told apart first when there are too many.

-- golo.engine.v1.Priority: 0 unknown, 1 ordinary, 2 the load test named it, 3 a threshold selects it. Of the route that
-- stands for all others (whose method is empty): the highest of what is in it; 0 if that is not known.
ALTER TABLE routes ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
