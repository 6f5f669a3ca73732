-- Clicks that the sender's SDK calls dead, or after which the visit goes on only later, with another click.
-- reads 1 hour after
WITH followed AS (
    SELECT
        *,
        lead(timestamp) OVER visit AS next_at,
        lead(action) OVER visit AS next_action
    FROM actions
    WHERE session_id IS NOT NULL
    WINDOW visit AS (PARTITION BY session_id ORDER BY timestamp, event_id)
),

asked AS (
    SELECT DISTINCT followed.event_id
    FROM followed
    INNER JOIN requests
        ON followed.session_id = requests.session_id
        AND requests.timestamp >= followed.timestamp
        AND requests.timestamp <= followed.timestamp + INTERVAL '1' SECOND * setting('dead_seconds')
    WHERE followed.action = 'click'
),

seen AS (
    SELECT followed.* EXCLUDE (next_at, next_action) FROM followed
    LEFT JOIN asked ON followed.event_id = asked.event_id
    WHERE
        followed.action = 'click'
        AND followed.target IS NOT NULL
        AND asked.event_id IS NULL
        AND followed.next_action IN ('click', 'rage')
        AND followed.next_at > followed.timestamp + INTERVAL '1' SECOND * setting('dead_seconds')
        AND followed.next_at <= followed.timestamp + INTERVAL '10' MINUTE
    UNION ALL
    SELECT * FROM actions
    WHERE action = 'dead'
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
    coalesce(target, url_path, 'somewhere') AS subject,
    'on ' || coalesce(url_path, 'some page') AS detail
FROM seen
