"""Metric points of all five kinds."""

from collections.abc import Callable
from typing import Any

import msgspec

from selfdrive_dagster.model import canonical
from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals, deployments
from selfdrive_dagster.telemetry.bounds import label, whole
from selfdrive_dagster.telemetry.otlp.values import (
    Origin,
    finite,
    read_attributes,
    read_origin,
    read_time,
    rest_json,
)
from selfdrive_dagster.telemetry.rows import MetricPointRow, Records

TEMPORALITIES = (None, "delta", "cumulative")


def decode_metrics(request: Any, arrival: Arrival, ordinals: Ordinals) -> Records:
    """Return the rows of an ExportMetricsServiceRequest."""
    rows: list[MetricPointRow] = []
    rejected: list[str] = []
    for resource in request.resource_metrics:
        origin = read_origin(resource.resource, arrival)
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            kind = metric.WhichOneof("data")
            if kind is None:
                rejected.append(f"metric {label(metric.name)!r} holds no data")
                continue
            held = getattr(metric, kind)
            for point in held.data_points:
                if fault := _fault(point, metric):
                    rejected.append(fault)
                else:
                    rows.append(_point(point, metric, kind, held, origin, arrival, ordinals))
    return Records(
        metric_points=tuple(rows),
        rejected=tuple(rejected),
        deployments=deployments(rows, "otlp", arrival),
    )


def _fault(point: Any, metric: Any) -> str:
    """Say why a point cannot be kept, "" if it can: its count is unsigned, our column is not."""
    if whole(getattr(point, "count", 0)) is not None:
        return ""
    return f"a point of metric {label(metric.name)!r} counts {point.count}, more than 2^63 - 1"


class _Numbers(msgspec.Struct, frozen=True, kw_only=True):
    value: float | None = None
    count: int | None = None
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    bucket_json: str | None = None


def _number_point(point: Any) -> _Numbers:
    kind = point.WhichOneof("value")
    return _Numbers(value=finite(float(getattr(point, kind))) if kind else None)


def _distribution(point: Any) -> _Numbers:
    """Return the numbers of a histogram or summary point; the mean is its value."""
    names = {field.name for field, _ in point.ListFields()}
    total = finite(point.sum) if "sum" in names else None
    bounds = list(getattr(point, "explicit_bounds", ()))
    return _Numbers(
        value=total / point.count if total is not None and point.count else None,
        count=point.count,
        sum=total,
        min=finite(point.min) if "min" in names else None,
        max=finite(point.max) if "max" in names else None,
        bucket_json=canonical(
            {"bounds": [finite(one) for one in bounds], "counts": list(point.bucket_counts)}
        ).decode()
        if bounds
        else None,
    )


_NUMBERS: dict[str, Callable[[Any], _Numbers]] = {
    "gauge": _number_point,
    "sum": _number_point,
    "histogram": _distribution,
    "exponential_histogram": _distribution,
    "summary": _distribution,
}


def _point(
    point: Any,
    metric: Any,
    kind: str,
    held: Any,
    origin: Origin,
    arrival: Arrival,
    ordinals: Ordinals,
) -> MetricPointRow:
    numbers = _NUMBERS[kind](point)
    attributes = rest_json(read_attributes(point.attributes), arrival)
    temporality = getattr(held, "aggregation_temporality", 0)
    name = label(metric.name)
    return MetricPointRow(
        event_id=ordinals.event_id(
            "metric",
            origin.service_name,
            origin.instance,
            name,
            attributes,
            point.start_time_unix_nano,
            point.time_unix_nano,
        ),
        source="otlp",
        timestamp=read_time(point.time_unix_nano) or arrival.received_at,
        received_at=arrival.received_at,
        service_name=origin.service_name,
        service_version=origin.version,
        deployment_environment_name=origin.environment,
        service_instance_id=arrival.redactor.text(origin.instance) or None,
        metric_name=name,
        unit=label(metric.unit) or None,
        kind=kind,
        is_monotonic=held.is_monotonic if kind == "sum" else None,
        temporality=TEMPORALITIES[temporality] if 0 <= temporality < 3 else None,
        value=numbers.value,
        count=numbers.count,
        sum=numbers.sum,
        min=numbers.min,
        max=numbers.max,
        bucket_json=numbers.bucket_json,
        attributes_json=attributes,
    )
