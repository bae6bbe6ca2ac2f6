-- grain: one signal of one household on one local day
CREATE VIEW v1.readings AS
WITH
readings AS (SELECT * FROM _internal.readings),
homes AS (SELECT * FROM _internal.homes),
signals AS (SELECT * FROM _internal.signals)
SELECT
    homes.household,
    signals."name" AS "signal",
    readings."day",
    readings."value",
    signals.unit,
    (['read', 'interpolated', 'partial', 'doubtful', 'missing', 'estimated'])[readings.quality + 1] AS quality
FROM readings
JOIN homes USING (home)
JOIN signals USING ("signal");
