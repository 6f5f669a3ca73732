-- Forms that visitors began to fill in, did not send, and did not touch again, though the service heard of others since.
-- reads 1 hour after
WITH touched AS (
    SELECT
        *,
        lead(timestamp) OVER forms AS next_at
    FROM actions
    WHERE action IN ('fill', 'send') AND session_id IS NOT NULL AND form IS NOT NULL
    WINDOW forms AS (PARTITION BY session_id, form ORDER BY timestamp, event_id)
),

heard AS (
    SELECT service_name, event_hour, max(timestamp) AS last_at
    FROM actions
    GROUP BY service_name, event_hour
),

until AS (
    SELECT touched.event_id, max(heard.last_at) AS last_at
    FROM touched
    INNER JOIN heard
        ON touched.service_name = heard.service_name
        AND heard.event_hour >= touched.event_hour
        AND heard.event_hour <= touched.event_hour + INTERVAL '1' HOUR
    GROUP BY touched.event_id
),

seen AS (
    SELECT touched.* FROM touched
    INNER JOIN until ON touched.event_id = until.event_id
    WHERE
        touched.action = 'fill'
        AND until.last_at >= touched.timestamp + INTERVAL '1' MINUTE * setting('abandon_minutes')
        AND coalesce(
            touched.next_at > touched.timestamp + INTERVAL '1' MINUTE * setting('abandon_minutes'), TRUE
        )
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
    form AS subject,
    'last touched: ' || coalesce(target, 'some field') AS detail
FROM seen
