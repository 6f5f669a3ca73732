-- No event is stored twice.
SELECT event_id, count(*) AS times FROM exceptions GROUP BY event_id HAVING count(*) > 1
