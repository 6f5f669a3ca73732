-- What hurt without an exception: each sighting of each pattern, in the columns that all patterns have.
WITH seen AS (
    SELECT *, 'failed_request' AS kind, 'error' AS severity_text FROM failed_requests
    UNION ALL
    SELECT *, 'timeout' AS kind, 'error' AS severity_text FROM timeouts
    UNION ALL
    SELECT *, 'retry_loop' AS kind, 'warning' AS severity_text FROM retry_loops
    UNION ALL
    SELECT *, 'error_log' AS kind, 'error' AS severity_text FROM error_logs
    UNION ALL
    SELECT *, 'rage_click' AS kind, 'warning' AS severity_text FROM rage_clicks
    UNION ALL
    SELECT *, 'dead_click' AS kind, 'warning' AS severity_text FROM dead_clicks
    UNION ALL
    SELECT *, 'error_click' AS kind, 'error' AS severity_text FROM error_clicks
    UNION ALL
    SELECT *, 'u_turn' AS kind, 'warning' AS severity_text FROM u_turns
    UNION ALL
    SELECT *, 'form_abandonment' AS kind, 'warning' AS severity_text FROM abandoned_forms
    UNION ALL
    SELECT *, 'failing_test' AS kind, 'error' AS severity_text FROM failing_tests
)

SELECT
    event_id,
    kind,
    source,
    timestamp,
    event_hour,
    service_name,
    service_version,
    deployment_environment_name,
    trace_id,
    session_id,
    enduser_pseudo_id,
    severity_text,
    subject,
    detail
FROM seen
