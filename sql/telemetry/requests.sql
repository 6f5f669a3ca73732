-- Each request that a service answered, with its route and whether it failed.
SELECT
    event_id,
    source,
    timestamp,
    date_trunc('hour', timestamp) AS event_hour,
    service_name,
    service_version,
    deployment_environment_name,
    trace_id,
    session_id,
    enduser_pseudo_id,
    http_request_method,
    url_path,
    http_response_status_code,
    coalesce(http_request_method || ' ', '') || coalesce(http_route, name) AS route,
    duration_ms,
    status_code = 'ERROR' OR coalesce(http_response_status_code, 0) >= 500 AS is_failed,
    coalesce(http_response_status_code, 0) IN (408, 504)
    OR regexp_matches(lower(coalesce(error_type, '')), 'time(d )?out|deadline')
    OR (
        setting('timeout_ms') > 0
        AND duration_ms BETWEEN setting('timeout_ms') * 0.99 AND setting('timeout_ms') * 1.01
    ) AS is_timeout,
    error_type
FROM spans
WHERE kind = 'SERVER'
