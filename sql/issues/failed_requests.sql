-- Requests that failed and that no reported exception explains: by its trace within an hour, or by method, path and two seconds.
-- reads 1 hour before and 1 hour after
WITH failed AS (
    SELECT * FROM requests
    WHERE is_failed AND NOT is_timeout
),

told AS (
    SELECT trace_id, http_request_method, url_path, timestamp, date_trunc('minute', timestamp) AS near
    FROM exceptions
),

places AS (
    SELECT http_request_method, url_path, timestamp, near FROM told
    UNION ALL
    SELECT http_request_method, url_path, timestamp, near - INTERVAL '1' MINUTE FROM told
    UNION ALL
    SELECT http_request_method, url_path, timestamp, near + INTERVAL '1' MINUTE FROM told
),

explained AS (
    SELECT failed.event_id
    FROM failed
    INNER JOIN told
        ON failed.trace_id = told.trace_id
        AND told.timestamp >= failed.timestamp - INTERVAL '1' HOUR
        AND told.timestamp <= failed.timestamp + INTERVAL '1' HOUR
    UNION
    SELECT failed.event_id
    FROM failed
    INNER JOIN places
        ON failed.http_request_method = places.http_request_method
        AND failed.url_path = places.url_path
        AND date_trunc('minute', failed.timestamp) = places.near
    WHERE
        places.timestamp >= failed.timestamp - INTERVAL '2' SECOND
        AND places.timestamp <= failed.timestamp + INTERVAL '30' SECOND
)

SELECT
    failed.event_id,
    failed.source,
    failed.timestamp,
    failed.event_hour,
    failed.service_name,
    failed.service_version,
    failed.deployment_environment_name,
    failed.trace_id,
    failed.session_id,
    failed.enduser_pseudo_id,
    failed.route AS subject,
    coalesce(failed.error_type, CAST(failed.http_response_status_code AS VARCHAR), 'error') AS detail
FROM failed
LEFT JOIN explained ON failed.event_id = explained.event_id
WHERE explained.event_id IS NULL
