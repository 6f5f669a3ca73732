-- Every sighting of every issue, of whichever kind; what one service opens beyond a bound an hour is one issue.
WITH counted AS (
    SELECT
        date_trunc('hour', timestamp) AS event_hour,
        service_name,
        issue_id,
        CASE WHEN min(fp_rule) IN ('template', 'message') THEN 1 ELSE 0 END AS is_worded,
        count(*) AS events
    FROM issue_events
    GROUP BY date_trunc('hour', timestamp), service_name, issue_id
),

placed AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY event_hour, service_name, is_worded ORDER BY events DESC, issue_id
        ) AS place
    FROM counted
),

beyond AS (
    SELECT event_hour, service_name, issue_id FROM placed
    WHERE
        (is_worded = 1 AND place > setting('templates_per_hour'))
        OR place > setting('issues_per_hour')
),

exceptions_bounded AS (
    SELECT
        issue_events.*,
        date_trunc('hour', issue_events.timestamp) AS event_hour,
        beyond.issue_id IS NOT NULL AS is_beyond
    FROM issue_events
    LEFT JOIN beyond
        ON date_trunc('hour', issue_events.timestamp) = beyond.event_hour
        AND issue_events.service_name = beyond.service_name
        AND issue_events.issue_id = beyond.issue_id
)

SELECT
    event_id,
    'exception' AS kind,
    source,
    timestamp,
    event_hour,
    service_name,
    service_version,
    deployment_environment_name,
    trace_id,
    session_id,
    enduser_pseudo_id,
    severity_text,
    handled,
    1 AS events,
    CASE
        WHEN is_beyond
            THEN 'iss_' || substr(md5(concat_ws('|', 'beyond', service_name)), 1, 16)
        ELSE issue_id
    END AS issue_id,
    CASE WHEN is_beyond THEN 'many' ELSE exception_type END AS exception_type,
    CASE
        WHEN is_beyond THEN 'more issues in an hour than are told apart'
        ELSE exception_template
    END AS exception_template,
    CASE WHEN is_beyond THEN '' ELSE culprit END AS culprit,
    route,
    fp_version,
    CASE WHEN is_beyond THEN 'beyond' ELSE fp_rule END AS fp_rule,
    CASE WHEN is_beyond THEN CAST(NULL AS VARCHAR[]) ELSE in_app_paths END AS in_app_paths,
    CASE WHEN is_beyond THEN CAST(NULL AS BOOLEAN) ELSE raised_in_app END AS raised_in_app,
    CAST(NULL AS VARCHAR) AS says
FROM exceptions_bounded
UNION ALL
SELECT
    event_id,
    kind,
    source,
    timestamp,
    event_hour,
    service_name,
    service_version,
    deployment_environment_name,
    trace_id,
    session_id,
    enduser_pseudo_id,
    severity_text,
    CAST(NULL AS BOOLEAN) AS handled,
    1 AS events,
    'iss_' || substr(md5(concat_ws('|', kind, service_name, subject)), 1, 16) AS issue_id,
    kind AS exception_type,
    detail AS exception_template,
    subject AS culprit,
    subject AS route,
    'pattern' AS fp_version,
    kind AS fp_rule,
    CAST(NULL AS VARCHAR[]) AS in_app_paths,
    CAST(NULL AS BOOLEAN) AS raised_in_app,
    CAST(NULL AS VARCHAR) AS says
FROM patterns
UNION ALL
SELECT
    event_id,
    kind,
    source,
    timestamp,
    date_trunc('hour', timestamp) AS event_hour,
    service_name,
    service_version,
    deployment_environment_name,
    CAST(NULL AS VARCHAR) AS trace_id,
    session_id,
    enduser_pseudo_id,
    severity_text,
    CAST(NULL AS BOOLEAN) AS handled,
    events,
    'iss_' || substr(md5(concat_ws('|', kind, service_name, subject, detail)), 1, 16) AS issue_id,
    kind AS exception_type,
    detail AS exception_template,
    subject AS culprit,
    subject AS route,
    'detector' AS fp_version,
    kind AS fp_rule,
    CAST(NULL AS VARCHAR[]) AS in_app_paths,
    CAST(NULL AS BOOLEAN) AS raised_in_app,
    says
FROM detected
