-- A page that visitors open and leave at once, back to where they came from.
-- reads 1 hour before
WITH walked AS (
    SELECT
        *,
        lag(url_path) OVER visit AS page,
        lag(timestamp) OVER visit AS opened,
        lag(url_path, 2) OVER visit AS came_from
    FROM actions
    WHERE action = 'view' AND session_id IS NOT NULL AND url_path IS NOT NULL
    WINDOW visit AS (PARTITION BY session_id ORDER BY timestamp, event_id)
)

SELECT
    event_id,
    source,
    timestamp,
    event_hour,
    service_name,
    service_version,
    deployment_environment_name,
    CAST(NULL AS VARCHAR) AS trace_id,
    session_id,
    enduser_pseudo_id,
    page AS subject,
    'back to ' || came_from AS detail
FROM walked
WHERE
    came_from = url_path
    AND page <> url_path
    AND opened > timestamp - INTERVAL '1' SECOND * setting('u_turn_seconds')
