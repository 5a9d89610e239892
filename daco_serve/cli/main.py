"""`daco-serve`: parses, calls, prints."""

import gc
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from daco_core.console import new_app, run
from daco_core.errors import DacoError, UsageError, reason_of
from daco_core.index_argument import IndexCommand
from daco_serve.cli import keys as key_cli
from daco_serve.cli.locate import locate
from daco_serve.cli.query import query
from daco_serve.cli.settings_options import with_settings
from daco_serve.cli.track import track

if TYPE_CHECKING:
    from daco_serve.engine.answers import IndexSummary
    from daco_serve.operation.settings import ServeSettings

# PyTorch, FAISS and FastAPI are imported only by the commands that need them, so that help appears quickly

app = new_app("Run a server that locates photographs over HTTP, or query one.")


def serve(settings: "ServeSettings") -> None:
    """Serve an index over HTTP: web page at /, queries at POST /v1/query, documentation at /docs.

    Each option can also be set by an environment variable: DACO_INDEX, DACO_PORT, ...

    With several indexes, ?index=NAME selects one; the first is the default. New generations of an index, and new
    indexes in a folder of indexes, are loaded without a restart.

    Example: daco-serve run --index maps/demo-day --port 8000
    """
    gc.disable()  # imported modules stay; collecting garbage among them takes a tenth of the time to start
    from daco_serve.engine.index_names import find_indexes
    from daco_serve.operation.logs import configure_logs
    from daco_serve.operation.systemd import notify
    from daco_serve.operation.workers import serve_here, serve_with_workers  # says which extra is missing, if one is

    configure_logs(settings.log_format, settings.log_level)
    # cheap checks come first, before anything that takes seconds
    faults = [_fault(folder) for folder in find_indexes(settings.index).values()]
    if None not in faults:
        raise next(fault for fault in faults if fault is not None)
    _made_key(settings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # systemd and Docker send SIGTERM instead of Ctrl-C
    with _bind(settings.host, settings.port) as listener:

        def announce(summaries: list["IndexSummary"]) -> None:
            gc.freeze()  # later collections skip what was imported, too
            gc.enable()
            _announce(_address(listener), summaries, settings.usual_k, settings.workers)
            notify("READY=1")

        with suppress(KeyboardInterrupt):
            (serve_here if settings.workers == 1 else serve_with_workers)(settings, listener, announce)
        notify("STOPPING=1")
    print("Stopped.", file=sys.stderr)


app.command("run")(with_settings(serve))
app.command()(query)
app.command(cls=IndexCommand)(locate)
app.command()(track)
app.add_typer(key_cli.app, name="key")


def _fault(folder: Path) -> DacoError | None:
    """Why a folder is certainly not an index; None if it may be one."""
    from daco_index.generations.folders import read_current

    try:
        read_current(folder)
    except DacoError as error:
        return error
    return None


def _made_key(settings: "ServeSettings") -> None:
    """Creates a key if one is required and there is none, and prints it."""
    from daco_serve.operation.keys import first_key, key_ring

    if settings.make_key:
        token = first_key(settings.host, settings.keys, settings.open)
        if token:
            print(f"Created a first key. It is shown only now: {token}", file=sys.stderr)
    key_ring(settings.host, settings.keys, settings.open)


def _bind(host: str, port: int) -> socket.socket:
    """A socket that reserves the port while the index is loaded; it does not listen yet."""
    from daco_serve.operation.workers import cannot_listen

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UsageError(
            f"{host} is not an address of this machine ({reason_of(error)}): choose another --host."
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise cannot_listen(host, port, error) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _announce(address: str, summaries: list["IndexSummary"], k: int, workers: int) -> None:
    print(f"Serving{f' in {workers} workers' if workers > 1 else ''} at {address}")
    for summary in summaries:
        print(
            f"  {summary.name}: {summary.count} reference photographs (generation {summary.generation}), encoder"
            f" {summary.backbone} {summary.encoder[:12]}"
        )
    print(
        f"  curl -F image=@photograph.jpg '{address}/v1/query?k={k}'\nPress Ctrl-C to stop.",
        flush=True,
    )


def main() -> None:
    """The command `daco-serve`."""
    run(app)
