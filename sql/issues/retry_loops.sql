-- One visitor asks for the same thing again and again, and mostly in vain.
-- reads 1 hour before
WITH asked AS (
    SELECT
        *,
        coalesce(session_id, enduser_pseudo_id) AS visitor,
        CASE WHEN is_failed OR coalesce(http_response_status_code, 0) >= 400 THEN 1 ELSE 0 END AS vain
    FROM requests
),

counted AS (
    SELECT
        *,
        lag(timestamp, setting('retries') - 1) OVER visits AS first_try,
        sum(vain) OVER (
            PARTITION BY service_name, visitor, route
            ORDER BY timestamp, event_id
            ROWS BETWEEN setting('retries') - 1 PRECEDING AND CURRENT ROW
        ) AS failures
    FROM asked
    WHERE visitor IS NOT NULL
    WINDOW visits AS (PARTITION BY service_name, visitor, route ORDER BY timestamp, event_id)
),

judged AS (
    SELECT
        *,
        first_try >= timestamp - INTERVAL '1' SECOND * setting('retry_seconds')
        AND failures >= setting('retry_failures') AS is_loop
    FROM counted
),

begun AS (
    SELECT
        *,
        lag(is_loop) OVER (
            PARTITION BY service_name, visitor, route ORDER BY timestamp, event_id
        ) AS was_loop
    FROM judged
)

SELECT
    event_id,
    source,
    timestamp,
    event_hour,
    service_name,
    service_version,
    deployment_environment_name,
    trace_id,
    session_id,
    enduser_pseudo_id,
    route AS subject,
    'tried again and again' AS detail
FROM begun
WHERE is_loop AND NOT coalesce(was_loop, FALSE)
