-- Requests and failed requests of each service and version by event hour, from server spans.
SELECT
    date_trunc('hour', timestamp) AS event_hour,
    service_name,
    service_version,
    count(*) AS requests,
    count(*) FILTER (WHERE status_code = 'ERROR' OR http_response_status_code >= 500) AS failed
FROM spans
WHERE kind = 'SERVER'
GROUP BY date_trunc('hour', timestamp), service_name, service_version
