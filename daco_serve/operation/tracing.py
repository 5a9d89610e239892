"""Traces for OpenTelemetry: nothing unless the environment names a collector."""

import os

from fastapi.telemetry import TelemetryConfig
from starlette.types import Scope

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
NOT_TRACED = {"/healthz", "/readyz", "/metrics"}


def telemetry() -> TelemetryConfig:
    """What FastAPI's own tracing is told; it needs the extra `otel`, and says so where that is missing.

    A span for each request; `metrics.record_stages` adds one for each stage of a query. Metrics are Prometheus's, and
    logs stay where they are.
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
