"""The process that answers, or several behind one port: they start, are replaced when they fail, and stop together."""

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

HUNG_SECONDS = 60.0  # a worker that has not said so for this long is replaced
LONGEST_PAUSE_SECONDS = 30.0  # between the attempts to replace a worker that fails again and again
STEADY_SECONDS = 60.0  # one that answered for this long is replaced without a pause

Announce = Callable[[list[IndexSummary]], None]
Context = ForkServerContext | SpawnContext


def serve_here(settings: ServeSettings, listener: socket.socket, announce: Announce) -> None:
    """Answers in this process until it is told to stop, by SIGINT or SIGTERM.

    Args:
        listener: bound; listens from when the index is loaded.
        announce: called then.

    Raises:
        DacoError: the index cannot be served, or the port is taken.
    """
    service = _load(settings)
    _listen(listener)
    from daco_serve.http.server import HttpServer

    HttpServer(settings, service, begun=lambda: announce(service.summaries)).run([listener])


def serve_with_workers(settings: ServeSettings, listener: socket.socket, announce: Announce) -> None:
    """Answers in `settings.workers` processes that share the listener, until this one is told to stop.

    Connections wait in one queue, whichever worker is free takes the next: when a worker dies, only what it had taken
    is lost, and its clients see their connection broken. It is replaced, and so is one that hangs.

    On Linux workers are forked from a process that has imported everything and started nothing, so that they share
    that memory and start in a second.

    Args:
        listener: bound.
        announce: called when every worker answers.

    Raises:
        DacoError: a worker cannot start, or the port is taken.
    """
    first = next(iter(find_indexes(settings.index)))  # settled once: a worker that starts later may find others
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
    """One place among the workers: the process that fills it now, and when to fill it again."""

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
        self.summaries: list[IndexSummary] = []  # what it answers from; empty until it answers
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
            theirs.close()  # so that its end is seen here when the worker dies
        self._reports = reports
        self.process, self.summaries = process, []
        self._started = self._heard = time.monotonic()

    def _start_again(self) -> None:
        """Starts it, or tries again later where there are no files, processes or memory for it now."""
        try:
            self.start()
        except Exception as error:  # also EOFError, where the process that forks was killed: the others must go on
            self._failures += 1
            self._next_start = time.monotonic() + self._pause()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
            log.error("%s cannot be started (%s).", self._name.capitalize(), reason)

    def _pause(self) -> float:
        return min(LONGEST_PAUSE_SECONDS, 2.0 ** (self._failures - 2)) if self._failures > 1 else 0.0

    @property
    def sources(self) -> list[Connection | int]:
        """What becomes ready when there is something to look after."""
        return [self._reports] if self.process is not None else []

    def wait_until_ready(self) -> None:
        """Raises DacoError: it cannot start, and why."""
        report = self._report()
        if isinstance(report, list):
            self.summaries = report
            return
        assert self.process is not None
        self.process.join(GRACE_SECONDS)
        raise DacoError(report or f"{self._name.capitalize()} {_how_it_ended(self.process)} while it started.")

    def look_after(self) -> None:
        """Hears what the process says; replaces it if it is gone or hangs."""
        if self.process is None:
            if time.monotonic() >= self._next_start:
                self._start_again()
            return
        while self.process is not None and self._reports.poll():
            report = self._report()
            if isinstance(report, list):
                self.summaries = report
                log.info("%s answers now.", self._name.capitalize())
            elif report:
                log.error("%s cannot start: %s", self._name.capitalize(), report)
            elif report is None:
                self._bury()
        hangs = bool(self.summaries) and time.monotonic() - self._heard > HUNG_SECONDS  # to load may take longer
        if self.process is not None and hangs:
            log.error("%s has not answered for %d seconds.", self._name.capitalize(), HUNG_SECONDS)
            self.process.kill()
            self._bury()

    def _report(self) -> list[IndexSummary] | str | None:
        """The next thing it says: that it answers, why it cannot start, "" for a sign of life; None if it is gone."""
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
        except OSError as error:  # the folder of the counts was removed, or its disk fails
            log.error("What %s had in work still counts in the metrics (%s).", self._name, error.strerror)
        steady = bool(self.summaries) and time.monotonic() - self._started > STEADY_SECONDS
        self._failures = 0 if steady else self._failures + 1
        self._next_start = time.monotonic() + self._pause()
        log.error("%s %s; another takes its place.", self._name.capitalize(), _how_it_ended(self.process))
        self.process = None


def _how_it_ended(process: BaseProcess) -> str:
    code = process.exitcode
    if code is None:
        return "does not say why it ended"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _stop(workers: list[_Worker]) -> None:
    """Tells all to finish what they have taken; kills what is not done in time, or at a second Ctrl-C."""
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
    """The life of one worker process."""

    def tell(report: list[IndexSummary] | str) -> None:
        with suppress(OSError):  # nobody listens any more: `_outlive_no_parent` sees to that
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
    """What to say when a port is not to be had."""
    return UsageError(f"Port {port} of {host} cannot be listened on ({error.strerror}): choose another --port.")


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
