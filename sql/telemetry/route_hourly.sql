-- Each route by event hour and version: requests, failures, waiting time, and how long they took.
-- full hours only
SELECT
    event_hour,
    service_name,
    service_version,
    route,
    count(*) AS requests,
    count(*) FILTER (WHERE is_failed) AS failed,
    count(DISTINCT session_id) AS sessions,
    count(DISTINCT enduser_pseudo_id) AS users,
    sum(duration_ms) AS total_ms,
    p_quantile(duration_ms, 0.5) AS p50_ms,
    p_quantile(duration_ms, 0.95) AS p95_ms,
    max(duration_ms) AS max_ms
FROM requests
GROUP BY event_hour, service_name, service_version, route
