-- Each day of an issue by service and version: its events, and the newest of them.
WITH days AS (
    SELECT
        date_trunc('day', timestamp) AS event_date,
        issue_id,
        service_name,
        service_version,
        CAST(sum(events) AS BIGINT) AS events,
        min(timestamp) AS first_seen,
        max(timestamp) AS last_seen
    FROM occurrences
    GROUP BY date_trunc('day', timestamp), issue_id, service_name, service_version
),

newest AS (
    SELECT
        days.event_date,
        days.events AS events_of_day,
        days.first_seen,
        occurrences.*,
        row_number() OVER (
            PARTITION BY
                days.event_date, days.issue_id, days.service_name, days.service_version
            ORDER BY occurrences.event_id DESC
        ) AS place
    FROM days
    INNER JOIN occurrences
        ON days.issue_id = occurrences.issue_id
        AND days.last_seen = occurrences.timestamp
        AND days.service_name = occurrences.service_name
        AND days.service_version IS NOT DISTINCT FROM occurrences.service_version
)

SELECT
    event_date,
    issue_id,
    service_name,
    service_version,
    events_of_day AS events,
    first_seen,
    timestamp AS last_seen,
    event_id,
    kind,
    exception_type,
    exception_template,
    culprit,
    route,
    fp_version,
    fp_rule,
    in_app_paths,
    raised_in_app,
    says
FROM newest
WHERE place = 1
