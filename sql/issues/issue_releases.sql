-- The services and versions an issue was seen in.
SELECT
    issue_id,
    service_name,
    service_version,
    CAST(sum(events) AS BIGINT) AS events,
    min(timestamp) AS first_seen,
    max(timestamp) AS last_seen
FROM occurrences
GROUP BY issue_id, service_name, service_version
