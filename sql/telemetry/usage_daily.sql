-- Each feature by day: how often it was used, by how many, how often it failed and how long it took.
SELECT
    date_trunc('day', event_hour) AS event_date,
    service_name,
    feature,
    CAST(sum(uses) AS BIGINT) AS uses,
    CAST(sum(failed) AS BIGINT) AS failed,
    sum(total_ms) AS total_ms,
    count(DISTINCT session_id) AS sessions,
    count(DISTINCT enduser_pseudo_id) AS users
FROM uses_hourly
GROUP BY date_trunc('day', event_hour), service_name, feature
