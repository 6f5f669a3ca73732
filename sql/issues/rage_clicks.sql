-- Several clicks on one thing at once, as we count them or as the sender's SDK says.
-- reads 1 hour before
WITH counted AS (
    SELECT
        *,
        lag(timestamp, setting('rage_clicks') - 1) OVER clicks AS first_click
    FROM actions
    WHERE action = 'click' AND session_id IS NOT NULL AND target IS NOT NULL
    WINDOW clicks AS (PARTITION BY session_id, url_path, target ORDER BY timestamp, event_id)
),

judged AS (
    SELECT
        *,
        coalesce(first_click >= timestamp - INTERVAL '1' SECOND * setting('rage_seconds'), FALSE) AS is_rage
    FROM counted
),

begun AS (
    SELECT
        *,
        lag(is_rage) OVER (
            PARTITION BY session_id, url_path, target ORDER BY timestamp, event_id
        ) AS was_rage
    FROM judged
),

seen AS (
    SELECT * EXCLUDE (first_click, is_rage, was_rage) FROM begun
    WHERE is_rage AND NOT coalesce(was_rage, FALSE)
    UNION ALL
    SELECT * FROM actions
    WHERE action = 'rage'
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
