-- Requests and calls to neighbours that ran out of time.
SELECT
    event_id,
    source,
    timestamp,
    event_hour,
    service_name,
    service_version,
    deployment_environment_name,
    trace_id,
    session_id,
    enduser_pseudo_id,
    route AS subject,
    coalesce(error_type, CAST(http_response_status_code AS VARCHAR), 'time limit') AS detail
FROM requests
WHERE is_timeout
UNION ALL
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
    'call ' || name AS subject,
    coalesce(error_type, CAST(http_response_status_code AS VARCHAR)) AS detail
FROM spans
WHERE
    kind = 'CLIENT'
    AND (
        coalesce(http_response_status_code, 0) IN (408, 504)
        OR regexp_matches(lower(coalesce(error_type, '')), 'time(d )?out|deadline')
    )
