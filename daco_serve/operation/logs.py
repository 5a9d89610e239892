"""The log of a server, on stderr: sentences for people, or one JSON object a line for programs."""

import logging
import time
from contextvars import ContextVar
from typing import Literal

OURS = ("daco_core", "daco_training", "daco_index", "daco_serve")  # of libraries only warnings and errors are shown
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is being answered; every line of log that is written meanwhile bears it."""


def configure_logs(form: LogFormat, level: LogLevel) -> None:
    """Sends every log of the process to stderr in one form; systemd and Docker take it from there."""
    handler = logging.StreamHandler()
    handler.addFilter(_add_request_id)
    handler.setFormatter(_json() if form == "json" else logging.Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for package in OURS:
        logging.getLogger(package).setLevel(level.upper())


def _json() -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter

    formatter = JsonFormatter(
        "{asctime}{levelname}{name}{message}",
        style="{",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
    )
    formatter.converter = time.gmtime
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    return formatter


def _add_request_id(record: logging.LogRecord) -> bool:
    current = request_id.get()
    if current is not None and not hasattr(record, "request_id"):
        record.request_id = current
    return True
