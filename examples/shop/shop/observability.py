"""Telemetry by the stock OpenTelemetry and Sentry SDKs, switched on by their own variables.

`SENTRY_DSN` and `OTEL_EXPORTER_OTLP_ENDPOINT` each switch one SDK on; without them nothing
is sent and nothing is set up. `SHOP_RELEASE` is the commit that runs.
"""

import os

import sentry_sdk
from opentelemetry import metrics, trace
from starlette.applications import Starlette

from shop.models import Session

SERVICE = "shop"


def start() -> None:
    """Start what the environment asks for. Call it before importing `shop.app`."""
    release = os.environ.get("SHOP_RELEASE", "unknown")
    environment = os.environ.get("SHOP_ENVIRONMENT", "production")
    if os.environ.get("SENTRY_DSN"):
        sentry_sdk.init(release=release, environment=environment)
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        _start_opentelemetry(release, environment)


def watch(application: Starlette) -> None:
    """Make a span of every request."""
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        from opentelemetry.instrumentation.starlette import StarletteInstrumentor

        StarletteInstrumentor.instrument_app(application)


def _start_opentelemetry(release: str, environment: str) -> None:
    """Send spans and metrics. The exporters are heavy: without an endpoint nobody imports them."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from shop.sampling import RequestsOnly

    resource = Resource.create(
        {
            "service.name": SERVICE,
            "service.version": release,
            "deployment.environment.name": environment,
        }
    )
    tracing = TracerProvider(resource=resource, sampler=RequestsOnly())
    tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(tracing)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[reader]))


def identify(session: Session) -> None:
    """Say whose request this is: without it nobody can count how many people a crash hurts."""
    sentry_sdk.set_tag("session.id", session.id)
    span = trace.get_current_span()
    span.set_attribute("session.id", session.id)
    if session.member_id is not None:
        sentry_sdk.set_user({"id": str(session.member_id)})
        span.set_attribute("enduser.id", str(session.member_id))
