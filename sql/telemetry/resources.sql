-- What processes use, by minute and instance: memory and processor, and their limits where those are told.
SELECT
    date_trunc('hour', timestamp) AS event_hour,
    date_trunc('minute', timestamp) AS minute,
    service_name,
    coalesce(service_instance_id, 'one') AS service_instance_id,
    metric_name,
    max(value) AS value
FROM metric_points
WHERE
    value IS NOT NULL
    AND metric_name IN (
        'process.memory.usage', 'process.runtime.cpython.memory', 'container.memory.usage',
        'process_resident_memory_bytes', 'container.memory.limit', 'process.memory.limit',
        'process.cpu.utilization', 'system.cpu.utilization', 'process.runtime.cpython.cpu.utilization',
        'system.memory.utilization', 'container.cpu.utilization', 'process.open_file_descriptor.count',
        'db.client.connection.utilization'
    )
GROUP BY
    date_trunc('hour', timestamp),
    date_trunc('minute', timestamp),
    service_name,
    coalesce(service_instance_id, 'one'),
    metric_name
