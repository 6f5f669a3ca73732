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
),

users_by_source AS (
    SELECT issue_id, source, count(DISTINCT enduser_pseudo_id) AS users
    FROM issue_user_daily
    GROUP BY issue_id, source
)

SELECT
    by_source.issue_id,
    CAST(max(by_source.events) AS BIGINT) AS events,
    CAST(max(users_by_source.users) AS BIGINT) AS users,
    CAST(sum(by_source.unhandled_events) AS BIGINT) AS unhandled_events,
    CAST(sum(by_source.handled_events) AS BIGINT) AS handled_events,
    max(by_source.severity_rank) AS severity_rank,
    count(*) AS sources,
    min(by_source.first_seen) AS first_seen,
    max(by_source.last_seen) AS last_seen
FROM by_source
LEFT JOIN users_by_source
    ON by_source.issue_id = users_by_source.issue_id AND by_source.source = users_by_source.source
GROUP BY by_source.issue_id
