-- Messages logged as errors without an exception, by template; beyond a bound an hour they are one issue.
WITH messages AS (
    SELECT DISTINCT body FROM log_events
    WHERE severity_number >= 17 AND exception_type IS NULL
),

templates AS (
    SELECT body, regex_template(body) AS template FROM messages
),

logged AS (
    SELECT
        log_events.*,
        date_trunc('hour', log_events.timestamp) AS event_hour,
        coalesce(templates.template, 'no message') AS template
    FROM log_events
    LEFT JOIN templates ON log_events.body = templates.body
    WHERE log_events.severity_number >= 17 AND log_events.exception_type IS NULL
),

counted AS (
    SELECT event_hour, service_name, template, count(*) AS events
    FROM logged
    GROUP BY event_hour, service_name, template
),

placed AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY event_hour, service_name ORDER BY events DESC, template
        ) AS place
    FROM counted
)

SELECT
    logged.event_id,
    logged.source,
    logged.timestamp,
    logged.event_hour,
    logged.service_name,
    logged.service_version,
    logged.deployment_environment_name,
    logged.trace_id,
    logged.session_id,
    logged.enduser_pseudo_id,
    CASE
        WHEN placed.place <= setting('templates_per_hour') THEN logged.template
        ELSE 'more messages than are told apart'
    END AS subject,
    coalesce(logged.logger_name, 'log') AS detail
FROM logged
INNER JOIN placed
    ON logged.event_hour = placed.event_hour
    AND logged.service_name = placed.service_name
    AND logged.template = placed.template
