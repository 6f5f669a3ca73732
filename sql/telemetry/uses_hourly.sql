-- Who used which feature in which hour: a feature is a route of a service or an event of the product.
-- full hours only
SELECT
    event_hour,
    service_name,
    route AS feature,
    session_id,
    enduser_pseudo_id,
    count(*) AS uses,
    count(*) FILTER (WHERE is_failed) AS failed,
    sum(duration_ms) AS total_ms
FROM requests
GROUP BY event_hour, service_name, route, session_id, enduser_pseudo_id
UNION ALL
SELECT
    event_hour,
    service_name,
    event_name AS feature,
    session_id,
    enduser_pseudo_id,
    count(*) AS uses,
    0 AS failed,
    CAST(NULL AS DOUBLE) AS total_ms
FROM actions
WHERE action = 'other'
GROUP BY event_hour, service_name, event_name, session_id, enduser_pseudo_id
