-- Sessions by the hour in which they began, and how they stand: the latest word on each holds.
WITH newest AS (
    SELECT * FROM sessions
    WHERE session_id IS NOT NULL
    QUALIFY row_number() OVER (
        PARTITION BY service_name, session_id, date_trunc('hour', timestamp)
        ORDER BY updated_at DESC, errors DESC, event_id
    ) = 1
),

told AS (
    SELECT * FROM newest
    UNION ALL
    SELECT * FROM sessions
    WHERE session_id IS NULL
)

SELECT
    date_trunc('hour', timestamp) AS event_hour,
    service_name,
    service_version,
    deployment_environment_name,
    CAST(sum("count") AS BIGINT) AS sessions,
    CAST(sum(CASE WHEN status = 'errored' THEN "count" ELSE 0 END) AS BIGINT) AS errored,
    CAST(sum(CASE WHEN status = 'abnormal' THEN "count" ELSE 0 END) AS BIGINT) AS abnormal,
    CAST(sum(CASE WHEN status IN ('unhandled', 'crashed') THEN "count" ELSE 0 END) AS BIGINT) AS crashed
FROM told
GROUP BY 1, 2, 3, 4
