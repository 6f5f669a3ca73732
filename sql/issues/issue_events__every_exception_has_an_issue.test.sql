-- Every exception is in exactly one issue.
SELECT exceptions.event_id
FROM exceptions
LEFT JOIN issue_events ON exceptions.event_id = issue_events.event_id
GROUP BY exceptions.event_id
HAVING count(DISTINCT issue_events.issue_id) <> 1
