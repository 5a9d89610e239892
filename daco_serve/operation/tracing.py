"""Traces for OpenTelemetry; disabled unless the environment names a collector."""

import os

from fastapi.telemetry import TelemetryConfig
from starlette.types import Scope

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
NOT_TRACED = {"/healthz", "/readyz", "/metrics"}


def telemetry() -> TelemetryConfig:
    """The configuration of FastAPI's tracing. It needs the extra `otel`, and fails with a message if that is missing.

    There is a span for each request; `metrics.record_stages` adds one for each stage of a query. Metrics and logs are
    not sent to OpenTelemetry.
    """
    os.environ.setdefault("OTEL_SERVICE_NAME", "daco-serve")
    return {
        "auto_configure": any(os.environ.get(name) for name in ENDPOINTS),
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "exclude": _excluded,
    }


def _excluded(scope: Scope) -> bool:
    return scope.get("path") in NOT_TRACED
