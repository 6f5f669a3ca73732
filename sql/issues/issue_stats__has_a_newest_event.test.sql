-- Every issue has a newest event, and it is the one last seen.
SELECT issue_stats.issue_id
FROM issue_stats
LEFT JOIN issue_newest ON issue_stats.issue_id = issue_newest.issue_id
WHERE issue_newest.issue_id IS NULL OR issue_newest.last_seen <> issue_stats.last_seen
