-- What came too late to be counted where it belongs, by the day on which it happened.
SELECT
    date_trunc('day', timestamp) AS event_date,
    service_name,
    table_name,
    count(*) AS events,
    min(received_at) AS first_received,
    max(received_at) AS last_received
FROM late_events
GROUP BY date_trunc('day', timestamp), service_name, table_name
