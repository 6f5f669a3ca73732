-- Each issue by day, service and version: how often, when first and last, and its newest event of that day.
WITH numbered AS (
    SELECT
        *,
        date_trunc('day', timestamp) AS event_date,
        row_number() OVER (
            PARTITION BY date_trunc('day', timestamp), issue_id, service_name, service_version
            ORDER BY timestamp DESC, event_id DESC
        ) AS place
    FROM occurrences
),

counted AS (
    SELECT
        event_date,
        issue_id,
        service_name,
        service_version,
        CAST(sum(events) AS BIGINT) AS events,
        min(timestamp) AS first_seen
    FROM numbered
    GROUP BY event_date, issue_id, service_name, service_version
)

SELECT
    numbered.event_date,
    numbered.issue_id,
    numbered.service_name,
    numbered.service_version,
    counted.events,
    counted.first_seen,
    numbered.timestamp AS last_seen,
    numbered.event_id,
    numbered.kind,
    numbered.exception_type,
    numbered.exception_template,
    numbered.culprit,
    numbered.route,
    numbered.fp_version,
    numbered.fp_rule,
    numbered.in_app_paths,
    numbered.raised_in_app,
    numbered.says
FROM numbered
INNER JOIN counted
    ON numbered.event_date = counted.event_date
    AND numbered.issue_id = counted.issue_id
    AND numbered.service_name = counted.service_name
    AND numbered.service_version IS NOT DISTINCT FROM counted.service_version
WHERE numbered.place = 1
