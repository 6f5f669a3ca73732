-- Versions of each service and when each was first seen at work.
SELECT
    service_name,
    deployment_environment_name,
    service_version,
    min(timestamp) AS first_seen
FROM deployments
GROUP BY service_name, deployment_environment_name, service_version
