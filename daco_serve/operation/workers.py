"""Runs the server in one process, or in several behind one port; failed workers are replaced."""

import logging
import multiprocessing
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from daco_core.errors import DacoError, UsageError
from daco_serve.engine.answers import IndexSummary
from daco_serve.engine.index_names import find_indexes
from daco_serve.operation import metrics
from daco_serve.operation.logs import configure_logs
from daco_serve.operation.settings import GRACE_SECONDS, ServeSettings

if TYPE_CHECKING:
    from daco_serve.engine.service import Service
    from daco_serve.http.server import HttpServer

log = logging.getLogger(__name__)

HUNG_SECONDS = 60.0  # a worker that gives no sign of life for this long is replaced
LONGEST_PAUSE_SECONDS = 30.0  # between attempts to replace a worker that fails repeatedly
STEADY_SECONDS = 60.0  # a worker that ran for this long is replaced without a pause

Announce = Callable[[list[IndexSummary]], None]
Context = ForkServerContext | SpawnContext


def serve_here(settings: ServeSettings, listener: socket.socket, announce: Announce) -> None:
    """Serves in this process until SIGINT or SIGTERM.

    Args:
        listener: a bound socket; it listens once the index is loaded.
        announce: called at that time.

    Raises:
        DacoError: the index cannot be loaded, or the port is taken.
    """
    service = _load(settings)
    _listen(listener)
    from daco_serve.http.server import HttpServer

    HttpServer(settings, service, begun=lambda: announce(service.summaries)).run([listener])


def serve_with_workers(settings: ServeSettings, listener: socket.socket, announce: Announce) -> None:
    """Serves in `settings.workers` processes that share the listener, until this process is told to stop.

    Connections wait in one queue, from which any free worker takes the next. When a worker dies, only its current
    requests are lost, and their clients see a closed connection. It is replaced, as is one that hangs.

    On Linux, workers are forked from a process that has imported all modules and started no threads, so that they share
    memory and start within a second.

    Args:
        listener: bound.
        announce: called when every worker is ready.

    Raises:
        DacoError: a worker cannot start, or the port is taken.
    """
    first = next(iter(find_indexes(settings.index)))  # determined once: a worker that starts later may find others
    _listen(listener)
    context: Context = (
        multiprocessing.get_context("forkserver") if sys.platform == "linux" else multiprocessing.get_context("spawn")
    )
    context.set_forkserver_preload(["daco_serve.http.app"])
    workers = [_Worker(context, settings, listener, number, first) for number in range(1, settings.workers + 1)]
    with metrics.shared_by_workers():
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.wait_until_ready()
            announce(workers[0].summaries)
            while True:
                wait([source for worker in workers for source in worker.sources], timeout=1.0)
                for worker in workers:
                    worker.look_after()
        finally:
            _stop(workers)


class _Worker:
    """One of the workers: its current process, and when to start the next one."""

    def __init__(
        self,
        context: Context,
        settings: ServeSettings,
        listener: socket.socket,
        number: int,
        first: str,
    ) -> None:
        self._context = context
        self._settings = settings
        self._listener = listener
        self._name = f"worker {number}"
        self._first = first
        self._failures = 0
        self._next_start = 0.0
        self.summaries: list[IndexSummary] = []  # of its indexes; empty until it is ready
        self.process: BaseProcess | None = None

    def start(self) -> None:
        reports, theirs = self._context.Pipe(duplex=False)
        arguments = (self._settings, self._listener, theirs, self._first)
        process = self._context.Process(target=_work, args=arguments, name=self._name)
        try:
            process.start()
        except BaseException:
            reports.close()
            raise
        finally:
            theirs.close()  # so that the end of the pipe is noticed here when the worker dies
        self._reports = reports
        self.process, self.summaries = process, []
        self._started = self._heard = time.monotonic()

    def _start_again(self) -> None:
        """Starts it, or tries again later if there are no files, processes or memory for it now."""
        try:
            self.start()
        except Exception as error:  # including EOFError, if the process that forks was killed: the others must continue
            self._failures += 1
            self._next_start = time.monotonic() + self._pause()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
            log.error("%s cannot be started (%s).", self._name.capitalize(), reason)

    def _pause(self) -> float:
        return min(LONGEST_PAUSE_SECONDS, 2.0 ** (self._failures - 2)) if self._failures > 1 else 0.0

    @property
    def sources(self) -> list[Connection | int]:
        """The pipe and process to wait for."""
        return [self._reports] if self.process is not None else []

    def wait_until_ready(self) -> None:
        """Raises DacoError with the reason if it cannot start."""
        report = self._report()
        if isinstance(report, list):
            self.summaries = report
            return
        assert self.process is not None
        self.process.join(GRACE_SECONDS)
        raise DacoError(report or f"{self._name.capitalize()} {_how_it_ended(self.process)} while it started.")

    def look_after(self) -> None:
        """Reads the process's reports; replaces it if it has ended or hangs."""
        if self.process is None:
            if time.monotonic() >= self._next_start:
                self._start_again()
            return
        while self.process is not None and self._reports.poll():
            report = self._report()
            if isinstance(report, list):
                self.summaries = report
                log.info("%s is ready.", self._name.capitalize())
            elif report:
                log.error("%s cannot start: %s", self._name.capitalize(), report)
            elif report is None:
                self._bury()
        hangs = bool(self.summaries) and time.monotonic() - self._heard > HUNG_SECONDS  # loading may take longer
        if self.process is not None and hangs:
            log.error("%s has not answered for %d seconds.", self._name.capitalize(), HUNG_SECONDS)
            self.process.kill()
            self._bury()

    def _report(self) -> list[IndexSummary] | str | None:
        """The next report: that it is ready, why it cannot start, "" for a sign of life; None if it has ended."""
        try:
            report: list[IndexSummary] | str = self._reports.recv()
        except (EOFError, OSError):
            return None
        self._heard = time.monotonic()
        return report

    def _bury(self) -> None:
        assert self.process is not None
        self._reports.close()
        self.process.join(GRACE_SECONDS)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        assert self.process.pid is not None
        try:
            metrics.forget_worker(self.process.pid)
        except OSError as error:  # the folder of the counters was removed, or its disk fails
            log.error("The metrics still include the requests that %s was processing (%s).", self._name, error.strerror)
        steady = bool(self.summaries) and time.monotonic() - self._started > STEADY_SECONDS
        self._failures = 0 if steady else self._failures + 1
        self._next_start = time.monotonic() + self._pause()
        log.error("%s %s; a new one is started.", self._name.capitalize(), _how_it_ended(self.process))
        self.process = None


def _how_it_ended(process: BaseProcess) -> str:
    code = process.exitcode
    if code is None:
        return "ended for an unknown reason"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _stop(workers: list[_Worker]) -> None:
    """Lets all finish their current requests; kills those that are too slow, or all at a second Ctrl-C."""
    running = [worker.process for worker in workers if worker.process is not None]
    try:
        for process in running:
            process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS + 5
        for process in running:
            process.join(max(0.0, deadline - time.monotonic()))
    finally:
        for process in running:
            process.kill()


def _work(settings: ServeSettings, listener: socket.socket, reports: Connection, first: str) -> None:
    """The main function of a worker process."""

    def tell(report: list[IndexSummary] | str) -> None:
        with suppress(OSError):  # the parent has ended: `_outlive_no_parent` handles that
            reports.send(report)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    configure_logs(settings.log_format, settings.log_level)
    with suppress(KeyboardInterrupt):
        try:
            service = _load(settings, first)
        except DacoError as error:
            tell(str(error))
            sys.exit(1)
        from daco_serve.http.server import HttpServer

        server = HttpServer(settings, service, begun=lambda: tell(service.summaries), alive=lambda: tell(""))
        threading.Thread(target=_outlive_no_parent, args=(server,), daemon=True).start()
        server.run([listener])


def _outlive_no_parent(server: "HttpServer") -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    server.should_exit = True


def cannot_listen(host: str, port: int, error: OSError) -> DacoError:
    """The error for a port that cannot be used."""
    return UsageError(f"Cannot listen on port {port} of {host} ({error.strerror}): choose another --port.")


def _listen(listener: socket.socket) -> None:
    try:
        listener.listen()
    except OSError as error:
        host, port = listener.getsockname()[:2]
        raise cannot_listen(host, port, error) from error


def _load(settings: ServeSettings, first: str | None = None) -> "Service":
    from daco_serve.engine.service import Service

    service = Service(settings, first)
    service.load()
    return service
