"""A connection to a Milvus server: failed calls are retried with back-off, and errors become one sentence."""

import logging
import os
import random
import sys
import time
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from daco_core.errors import DacoError, MissingExtra, StoreAway
from daco_index.search.stores.address import MilvusAddress

if TYPE_CHECKING:
    from pymilvus import MilvusClient

CONTACT_SECONDS = 5.0  # how long the first call is retried: nothing has begun that could be lost
PATIENCE_SECONDS = 60.0  # how long a write is retried while a server is away, busy, or limits the rate
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 8.0
MOST_ROWS = 16384  # in one answer: Milvus's limit
TOKEN_VARIABLE = "DACO_MILVUS_TOKEN"
# of Milvus's error codes: the service is not ready, is overloaded or failed internally; replicas and channels move
TRANSIENT_CODES = ({1, 2, 3, 4, 5, 8, 9}, range(500, 700))
NOT_LOADED = 101


class Connection:
    """One server, with the `user:password` or key in DACO_MILVUS_TOKEN if set. Any number of threads may call.

    Raises:
        DacoError: pymilvus is not installed.
    """

    def __init__(self, address: MilvusAddress) -> None:
        self.address = address
        try:
            import pymilvus  # noqa: F401
        except ImportError as error:
            raise MissingExtra(
                "An index in Milvus needs pymilvus, which is not installed: pip install 'daco-serve[milvus]'."
            ) from error
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it also logs a traceback for each error it raises

    def reach(self) -> None:
        """Raises StoreAway if no Milvus server responds at the address."""
        self.call("get_server_version", patience=CONTACT_SECONDS)

    def call(self, method: str, *arguments: Any, patience: float = PATIENCE_SECONDS, **keywords: Any) -> Any:
        """Calls a method of pymilvus's client and returns its result.

        The call is retried, with increasing pauses, while the server is away or overloaded. If the collection, the
        first argument, was unloaded by a restart of the server, it is loaded first.

        Args:
            patience: seconds after which the retries end.

        Raises:
            StoreAway: the server does not respond, or keeps rejecting requests.
            DacoError: the server says that the call is invalid.
        """
        import grpc
        from pymilvus.exceptions import MilvusException

        start, pause = time.monotonic(), FIRST_PAUSE_SECONDS
        while True:
            left = patience - (time.monotonic() - start)
            try:
                return getattr(self._client, method)(*arguments, timeout=max(left, 1.0), **keywords)
            except (MilvusException, grpc.RpcError) as error:
                left = patience - (time.monotonic() - start)
                if left > pause and _code(error) == NOT_LOADED and method != "load_collection":
                    self.call("load_collection", arguments[0], patience=left)
                    continue
                if left <= pause or not _is_transient(error):
                    raise self._as_daco_error(error) from error
                if patience == PATIENCE_SECONDS and pause == FIRST_PAUSE_SECONDS:
                    print(f"{self._as_daco_error(error)} Retrying for {left:.0f} s.", file=sys.stderr)
            time.sleep(pause * random.uniform(0.5, 1.0))  # random, so that many writers do not retry at the same time
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def pages(self, collection: str, condition: str, field: str) -> Iterator[list[Any]]:
        """One field of every row that meets a condition, in blocks of some thousand. Raises the errors of `call`."""
        import grpc
        from pymilvus.exceptions import MilvusException

        iterator = self.call(
            "query_iterator",
            collection,
            batch_size=MOST_ROWS,
            filter=condition,
            output_fields=[field],
            consistency_level="Strong",
        )
        try:
            while rows := iterator.next():
                yield [row[field] for row in rows]
            iterator.close()
        except (MilvusException, grpc.RpcError) as error:
            raise self._as_daco_error(error) from error

    def _as_daco_error(self, error: Exception) -> DacoError:
        if _is_transient(error):
            return StoreAway(f"Milvus at {self.address.server} does not respond: {_short(error)}.")
        return DacoError(f"Milvus at {self.address.server} rejects the request: {_short(error)}.")

    @cached_property
    def _client(self) -> "MilvusClient":
        from pymilvus import MilvusClient

        return MilvusClient(uri=self.address.uri, token=os.environ.get(TOKEN_VARIABLE, ""), timeout=5)


def _code(error: Exception) -> Any:
    """Milvus's error number, or gRPC's status."""
    code = getattr(error, "code", None)
    return code() if callable(code) else code


def _is_transient(error: Exception) -> bool:
    code = _code(error)
    if "timeout" in str(error).lower():  # pymilvus's own, with the error code of the last attempt
        return True
    if isinstance(code, int):
        return any(code in codes for codes in TRANSIENT_CODES)
    return getattr(code, "name", "") in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "UNKNOWN")


def _short(error: Exception) -> str:
    details = getattr(error, "details", None)
    text = details() if callable(details) else str(getattr(error, "message", error))
    return (text or "no reason given").splitlines()[0].split(", debug=")[0][:200].rstrip(". ")
