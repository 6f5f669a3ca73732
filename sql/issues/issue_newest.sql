-- The newest event of each issue: its title, its place and an example to open.
WITH numbered AS (
    SELECT
        issue_id,
        event_id,
        last_seen,
        kind,
        exception_type,
        exception_template,
        culprit,
        route,
        fp_version,
        fp_rule,
        in_app_paths,
        raised_in_app,
        says,
        row_number() OVER (PARTITION BY issue_id ORDER BY last_seen DESC, event_id DESC) AS place
    FROM issue_daily
)

SELECT
    issue_id,
    event_id,
    last_seen,
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
FROM numbered
WHERE place = 1
