-- Events, users and sessions of each issue by event hour and source; two SDKs that report one crash stay apart.
SELECT
    event_hour,
    issue_id,
    source,
    CAST(sum(events) AS BIGINT) AS events,
    count(*) FILTER (WHERE handled = FALSE) AS unhandled_events,
    count(*) FILTER (WHERE handled = TRUE) AS handled_events,
    count(DISTINCT enduser_pseudo_id) AS users,
    count(DISTINCT session_id) AS sessions,
    max(CASE severity_text
        WHEN 'fatal' THEN 4 WHEN 'warning' THEN 2 WHEN 'info' THEN 1 WHEN 'debug' THEN 0 ELSE 3
    END) AS severity_rank,
    min(timestamp) AS first_seen,
    max(timestamp) AS last_seen
FROM occurrences
GROUP BY event_hour, issue_id, source
