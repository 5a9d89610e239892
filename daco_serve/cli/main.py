"""`daco-serve`: parses, calls, prints."""

import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from daco_core.console import new_app, option, run
from daco_core.errors import UsageError
from daco_serve.cli import keys as key_cli
from daco_serve.cli.query import query

if TYPE_CHECKING:
    from daco_serve.engine.answers import IndexSummary
    from daco_serve.operation.settings import ServeSettings

# the library (PyTorch, FAISS, FastAPI) is imported by the commands that need it, so that help comes at once

app = new_app("Answer photographs with places over HTTP, and ask such a server.")


@app.command("run")
def serve(
    index: Annotated[
        list[str] | None,
        option(
            "index",
            "Folder of an index, or of several; NAME=FOLDER to name it. May be repeated.",
            metavar="[NAME=]FOLDER",
        ),
    ] = None,
    host: Annotated[str | None, option("host", "Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, option("port", "Port; 0 takes a free one.", show_default="8000")] = None,
    k: Annotated[int | None, option("k", "Matches in an answer, unless the request says.", show_default="5")] = None,
    max_k: Annotated[int | None, option("max_k", "Most matches that may be asked for.", show_default="100")] = None,
    max_upload_bytes: Annotated[
        int | None, option("max_upload_bytes", "Largest photograph that is taken.", show_default="20 MiB")
    ] = None,
    max_pixels: Annotated[
        int | None, option("max_pixels", "Most pixels that are decoded.", show_default="50 million")
    ] = None,
    workers: Annotated[
        int | None, option("workers", "Processes that share the port and the cores.", show_default="1")
    ] = None,
    device: Annotated[str | None, option("device", "auto, cpu, cuda or cuda:N.", show_default="auto")] = None,
    gpu: Annotated[
        str | None, option("gpu", "Whether indexes are searched on a GPU: auto, on or off.", show_default="auto")
    ] = None,
    precision: Annotated[
        str | None,
        option("precision", "fp32, bf16 or int8; auto: what the index was built for.", show_default="auto"),
    ] = None,
    keys: Annotated[
        Path | None, option("keys", "File of API keys (daco-serve key); asks for one on loopback too.")
    ] = None,
    open_to_all: Annotated[
        bool | None, option("open", "Ask for no key, though others can reach --host.", show_default="no")
    ] = None,
    make_key: Annotated[
        bool | None, option("make_key", "Make a key where one is needed and there is none.", show_default="no")
    ] = None,
    rate_limit: Annotated[
        str | None,
        option("rate_limit", "Queries of one client: 120/minute, or none.", show_default="none; 120/minute if --open"),
    ] = None,
    cors_origins: Annotated[
        list[str] | None, option("cors_origin", "A site whose pages may ask; may be given again.")
    ] = None,
    trusted_proxies: Annotated[
        str | None, option("trusted_proxies", "Whose X-Forwarded-For is believed.", show_default="127.0.0.1")
    ] = None,
    tiles: Annotated[
        str | None,
        option("tiles", "Tile server behind the page's map, as https://HOST/{z}/{x}/{y}.png.", show_default="none"),
    ] = None,
    tiles_attribution: Annotated[
        str | None, option("tiles_attribution", "Whom the map thanks for the tiles.", show_default="the host")
    ] = None,
    log_format: Annotated[str | None, option("log_format", "text or json.", show_default="text")] = None,
    log_level: Annotated[str | None, option("log_level", "debug, info, warning or error.", show_default="info")] = None,
    trust: Annotated[
        bool | None,
        option("trust", "Run the code of others that an index with a torchhub: encoder needs.", show_default="no"),
    ] = None,
) -> None:
    """Serve an index: a page for people at /, POST /v1/query for programs, /docs for those who write them.

    Every option may come from the environment instead: DACO_INDEX, DACO_PORT and so on.

    Of several indexes a query chooses with ?index=NAME; the first answers unless one is named. A new generation of
    an index is taken up without a restart, and so is a new index in a folder of indexes.

    Example: daco-serve run --index maps/demo-day --port 8000
    """
    from daco_index.generations.folders import read_current
    from daco_serve.engine.index_names import find_indexes
    from daco_serve.operation.logs import configure_logs
    from daco_serve.operation.settings import load_settings
    from daco_serve.operation.systemd import notify

    settings = load_settings(
        {
            "index": index or None,
            "host": host,
            "port": port,
            "k": k,
            "max_k": max_k,
            "max_upload_bytes": max_upload_bytes,
            "max_pixels": max_pixels,
            "workers": workers,
            "device": device,
            "precision": precision,
            "gpu": gpu,
            "trust": trust,
            "keys": keys,
            "open": open_to_all,
            "make_key": make_key,
            "rate_limit": rate_limit,
            "cors_origins": cors_origins or None,
            "trusted_proxies": trusted_proxies,
            "tiles": tiles,
            "tiles_attribution": tiles_attribution,
            "log_format": log_format,
            "log_level": log_level,
        }
    )
    configure_logs(settings.log_format, settings.log_level)
    # what can be refused is refused at once, before all that takes seconds
    for folder in find_indexes(settings.index).values():
        read_current(folder)
    _made_key(settings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # systemd's and Docker's way to say Ctrl-C
    with _bind(settings.host, settings.port) as listener:
        from daco_serve.operation.workers import serve_here, serve_with_workers

        def announce(summaries: list["IndexSummary"]) -> None:
            _announce(_address(listener), summaries, min(settings.k, settings.max_k), settings.workers)
            notify("READY=1")

        with suppress(KeyboardInterrupt):
            (serve_here if settings.workers == 1 else serve_with_workers)(settings, listener, announce)
        notify("STOPPING=1")
    print("Stopped.", file=sys.stderr)


app.command()(query)
app.add_typer(key_cli.app, name="key")


def _made_key(settings: "ServeSettings") -> None:
    """Sees to it that there is a key where one is needed, and prints one that it had to make."""
    from daco_serve.operation.keys import first_key, key_ring

    if settings.make_key:
        token = first_key(settings.host, settings.keys, settings.open)
        if token:
            print(f"A first key was made. It is shown only now: {token}", file=sys.stderr)
    key_ring(settings.host, settings.keys, settings.open)


def _bind(host: str, port: int) -> socket.socket:
    """A socket that holds the port, so that nobody takes it while the index is loaded; it does not listen yet."""
    from daco_serve.operation.workers import cannot_listen

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UsageError(
            f"{host} is not an address of this machine ({error.strerror}): choose another --host."
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
        f"  curl -F image=@photograph.jpg '{address}/v1/query?k={k}'\nCtrl-C stops it.",
        flush=True,
    )


def main() -> None:
    """The command `daco-serve`."""
    run(app)
