-- Ways through the product by day: which feature visitors go to from which, within half an hour.
-- full hours only
WITH walked AS (
    SELECT
        date_trunc('day', timestamp) AS event_date,
        service_name,
        session_id,
        timestamp,
        route AS feature,
        lag(route) OVER visit AS came_from,
        lag(timestamp) OVER visit AS came_at
    FROM requests
    WHERE session_id IS NOT NULL
    WINDOW visit AS (
        PARTITION BY date_trunc('day', timestamp), service_name, session_id
        ORDER BY timestamp, event_id
    )
)

SELECT
    event_date,
    service_name,
    came_from,
    feature,
    count(*) AS times,
    count(DISTINCT session_id) AS sessions
FROM walked
WHERE came_from IS NOT NULL AND came_from <> feature AND came_at >= timestamp - INTERVAL '30' MINUTE
GROUP BY event_date, service_name, came_from, feature
