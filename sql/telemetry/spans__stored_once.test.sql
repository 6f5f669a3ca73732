-- No span is stored twice.
SELECT event_id, count(*) AS times FROM spans GROUP BY event_id HAVING count(*) > 1
