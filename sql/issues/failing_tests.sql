-- Tests of the product's main branch that failed, each time that they did.
SELECT
    event_id,
    source,
    timestamp,
    date_trunc('hour', timestamp) AS event_hour,
    service_name,
    service_version,
    deployment_environment_name,
    CAST(NULL AS VARCHAR) AS trace_id,
    CAST(NULL AS VARCHAR) AS session_id,
    CAST(NULL AS VARCHAR) AS enduser_pseudo_id,
    test_case_name AS subject,
    coalesce(regex_template(message), 'failed') AS detail
FROM test_results
WHERE test_case_result_status = 'failed'
