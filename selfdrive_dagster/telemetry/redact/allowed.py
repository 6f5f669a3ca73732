"""The allow-list: attributes of the semantic conventions that say what a program did, not whom.

With `[telemetry] attributes = "listed"` an attribute that stands here, or among the names that the
owner adds, stays and every other one goes, whatever it holds. A listed value is looked at by the
detectors all the same: `url.path` may hold an address. Persons do not belong here: they become
pseudonyms in columns of their own.
"""

from selfdrive_dagster.telemetry.redact.names import words

LISTED = words(
    """
    error.type otel.status_code otel.scope.name otel.scope.version event.name
    http.request.method http.response.status_code http.route http.request.resend_count
    http.request.body.size http.response.body.size
    url.path url.scheme url.template server.address server.port
    network.protocol.name network.protocol.version network.transport network.type
    code.function.name code.file.path code.line.number code.column.number
    thread.name process.pid process.runtime.name process.runtime.version log.logger
    rpc.system rpc.service rpc.method rpc.grpc.status_code
    db.system.name db.namespace db.collection.name db.operation.name db.query.summary
    db.response.status_code
    messaging.system messaging.operation.type messaging.operation.name messaging.destination.name
    messaging.batch.message_count
    gen_ai.system gen_ai.operation.name gen_ai.request.model
    screen.name app.widget.id app.widget.name browser.platform user_agent.name user_agent.version
    """
)
"""Attribute names of OpenTelemetry's semantic conventions 1.4x that may stay."""

LISTED_PREFIXES = (
    "service.",
    "deployment.",
    "telemetry.",
    "feature_flag.",
    "exception.",
    "cpu.",
    "system.",
    "jvm.",
    "cpython.",
)
"""Whole groups of them: the program and its release, flags, resource use."""


def is_listed(name: str) -> bool:
    """Say whether the allow-list names an attribute."""
    return name in LISTED or name.startswith(LISTED_PREFIXES)
