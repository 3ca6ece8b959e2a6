-- What a pick says beyond its fields, in figures: {"american", "decimal", "implied", "units", "starts_at", "league"}, null where
-- neither the pick nor its post says it. Those of the post that had the pick first.
alter table picks add column terms jsonb;
