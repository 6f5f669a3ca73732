-- No more requests fail than there are.
SELECT event_hour, service_name FROM service_hourly WHERE failed > requests
