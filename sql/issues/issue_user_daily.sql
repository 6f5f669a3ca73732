-- Which users met an issue on which day, by source: distinct users of any span of days are exact.
SELECT
    date_trunc('day', timestamp) AS event_date,
    issue_id,
    source,
    enduser_pseudo_id,
    CAST(sum(events) AS BIGINT) AS events
FROM occurrences
WHERE enduser_pseudo_id IS NOT NULL
GROUP BY date_trunc('day', timestamp), issue_id, source, enduser_pseudo_id
