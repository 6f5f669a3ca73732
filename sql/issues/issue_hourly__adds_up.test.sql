-- The hours of an issue add up to its events: nothing is lost or counted twice by late data.
WITH hourly AS (
    SELECT issue_id, source, sum(events) AS events FROM issue_hourly GROUP BY issue_id, source
),

counted AS (
    SELECT issue_id, source, sum(events) AS events FROM occurrences GROUP BY issue_id, source
)

SELECT counted.issue_id, counted.source, counted.events, hourly.events AS in_hours
FROM counted
LEFT JOIN hourly ON counted.issue_id = hourly.issue_id AND counted.source = hourly.source
WHERE hourly.events IS NULL OR hourly.events <> counted.events
