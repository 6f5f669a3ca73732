-- Clicks upon which an exception of the same visit follows at once.
-- reads 1 hour after
WITH seen AS (
    SELECT actions.*, min(exceptions.exception_type) AS exception_type
    FROM actions
    INNER JOIN exceptions
        ON actions.session_id = exceptions.session_id
        AND exceptions.timestamp >= actions.timestamp
        AND exceptions.timestamp <= actions.timestamp
        + INTERVAL '1' SECOND * setting('error_click_seconds')
    WHERE actions.action = 'click'
    GROUP BY ALL
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
    exception_type AS detail
FROM seen
