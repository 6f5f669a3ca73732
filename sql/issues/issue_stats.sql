-- Each issue over its whole life; counts are of the source that saw most, for two SDKs report one crash twice.
WITH by_source AS (
    SELECT
        issue_id,
        source,
        sum(events) AS events,
        sum(unhandled_events) AS unhandled_events,
        sum(handled_events) AS handled_events,
        max(severity_rank) AS severity_rank,
        min(first_seen) AS first_seen,
        max(last_seen) AS last_seen
    FROM issue_hourly
    GROUP BY issue_id, source
)

SELECT
    issue_id,
    CAST(max(events) AS BIGINT) AS events,
    CAST(sum(unhandled_events) AS BIGINT) AS unhandled_events,
    CAST(sum(handled_events) AS BIGINT) AS handled_events,
    max(severity_rank) AS severity_rank,
    count(*) AS sources,
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen
FROM by_source
GROUP BY issue_id
