"""Older attribute names, read and stored under today's.

From the migration notes of OpenTelemetry's semantic conventions (1.2x to 1.4x) and from what
SDKs still send. Metric names are left as they are: their units changed with them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "code.filepath": "code.file.path",
        "code.lineno": "code.line.number",
        "code.column": "code.column.number",
        "deployment.environment": "deployment.environment.name",
        "feature_flag.variant": "feature_flag.result.variant",
        "feature_flag.provider_name": "feature_flag.provider.name",
        "feature_flag.evaluation.reason": "feature_flag.result.reason",
        "http.method": "http.request.method",
        "http.status_code": "http.response.status_code",
        "http.url": "url.full",
        "http.scheme": "url.scheme",
        "http.user_agent": "user_agent.original",
        "http.client_ip": "client.address",
        "http.request_content_length": "http.request.body.size",
        "http.response_content_length": "http.response.body.size",
        "http.flavor": "network.protocol.version",
        "net.peer.name": "server.address",
        "net.peer.port": "server.port",
        "net.host.name": "server.address",
        "net.host.port": "server.port",
        "net.sock.peer.addr": "network.peer.address",
        "net.peer.ip": "network.peer.address",
        "db.system": "db.system.name",
        "db.name": "db.namespace",
        "db.statement": "db.query.text",
        "db.operation": "db.operation.name",
        "db.sql.table": "db.collection.name",
        "messaging.operation": "messaging.operation.type",
        "user.id": "enduser.id",
    }
)
"""Older attribute name → the one we store; the newer name wins when both are there."""


def current_names(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes under today's names.

    `http.target` becomes path and query; `code.namespace` goes before `code.function`.
    """
    old = {ALIASES[name]: value for name, value in said.items() if name in ALIASES}
    gone = {*ALIASES, "http.target", "code.function", "code.namespace"}
    kept = {name: value for name, value in said.items() if name not in gone}
    return {**old, **_target(said.get("http.target")), **_function(said), **kept}


def _target(target: Any) -> dict[str, Any]:
    if not isinstance(target, str):
        return {}
    path, mark, query = target.partition("?")
    return {"url.path": path, **({"url.query": query} if mark else {})}


def _function(said: Mapping[str, Any]) -> dict[str, Any]:
    parts = [said.get("code.namespace"), said.get("code.function")]
    name = ".".join(str(part) for part in parts if part)
    return {"code.function.name": name} if name else {}
