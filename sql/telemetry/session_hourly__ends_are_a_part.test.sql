-- No more sessions went wrong than there were.
SELECT * FROM session_hourly
WHERE errored + abnormal + crashed > sessions
