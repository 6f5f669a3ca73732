-- Users and sessions seen in any telemetry by event hour: the whole that hurt users are a share of.
WITH seen AS (
    SELECT timestamp, enduser_pseudo_id, session_id FROM spans
    UNION ALL
    SELECT timestamp, enduser_pseudo_id, session_id FROM log_events
    UNION ALL
    SELECT timestamp, enduser_pseudo_id, session_id FROM exceptions
    UNION ALL
    SELECT timestamp, enduser_pseudo_id, session_id FROM product_events
),

named AS (
    SELECT timestamp, 'user' AS kind, enduser_pseudo_id AS principal FROM seen
    UNION ALL
    SELECT timestamp, 'session' AS kind, session_id AS principal FROM seen
)

SELECT
    date_trunc('hour', timestamp) AS event_hour,
    kind,
    principal,
    min(timestamp) AS first_seen,
    max(timestamp) AS last_seen
FROM named
WHERE principal IS NOT NULL
GROUP BY date_trunc('hour', timestamp), kind, principal
