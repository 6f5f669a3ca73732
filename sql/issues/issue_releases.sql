-- The services and versions an issue was seen in.
SELECT
    issue_id,
    service_name,
    service_version,
    CAST(sum(events) AS BIGINT) AS events,
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen
FROM issue_daily
GROUP BY issue_id, service_name, service_version
