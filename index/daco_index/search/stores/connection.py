"""A connection to a Milvus server: calls are tried again with back-off, and a server that is away is one sentence."""

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

CONTACT_SECONDS = 5.0  # for which the first call waits: nothing has begun that could be lost
PATIENCE_SECONDS = 60.0  # for which a write waits out a server that goes away, is busy, or limits the rate
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 8.0
MOST_ROWS = 16384  # of one answer: Milvus's limit
TOKEN_VARIABLE = "DACO_MILVUS_TOKEN"
# of Milvus's error codes: the service is not ready, has too much to do or failed within; replicas and channels move
TRANSIENT_CODES = ({1, 2, 3, 4, 5, 8, 9}, range(500, 700))
NOT_LOADED = 101


class Connection:
    """One server, by `user:password` or the key in DACO_MILVUS_TOKEN if that is set. Any number of threads may call.

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
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs tracebacks of what it also raises

    def reach(self) -> None:
        """Raises StoreAway where there is no Milvus at the address."""
        self.call("get_server_version", patience=CONTACT_SECONDS)

    def call(self, method: str, *arguments: Any, patience: float = PATIENCE_SECONDS, **keywords: Any) -> Any:
        """What a method of pymilvus's client returns.

        It is called again, after longer and longer pauses, while the server is away or has too much to do; and where a
        restart has left the collection, the first argument, out of the servers' memory, it is loaded first.

        Args:
            patience: seconds after which that is given up.

        Raises:
            StoreAway: the server does not answer, or keeps rejecting requests.
            DacoError: it says that the call is wrong.
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
                    print(f"{self._as_daco_error(error)} Trying again for {left:.0f} s.", file=sys.stderr)
            time.sleep(pause * random.uniform(0.5, 1.0))  # so that many writers do not come back as one
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def pages(self, collection: str, condition: str, field: str) -> Iterator[list[Any]]:
        """A field of every row of which the condition holds, some thousand at a time. Raises as `call`."""
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
            return StoreAway(f"Milvus at {self.address.server} does not answer: {_short(error)}.")
        return DacoError(f"Milvus at {self.address.server} rejects the request: {_short(error)}.")

    @cached_property
    def _client(self) -> "MilvusClient":
        from pymilvus import MilvusClient

        return MilvusClient(uri=self.address.uri, token=os.environ.get(TOKEN_VARIABLE, ""), timeout=5)


def _code(error: Exception) -> Any:
    """Milvus's number, or gRPC's status."""
    code = getattr(error, "code", None)
    return code() if callable(code) else code


def _is_transient(error: Exception) -> bool:
    code = _code(error)
    if "timeout" in str(error).lower():  # of pymilvus's own, with whatever code the last attempt had
        return True
    if isinstance(code, int):
        return any(code in codes for codes in TRANSIENT_CODES)
    return getattr(code, "name", "") in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "UNKNOWN")


def _short(error: Exception) -> str:
    details = getattr(error, "details", None)
    text = details() if callable(details) else str(getattr(error, "message", error))
    return (text or "no reason given").splitlines()[0].split(", debug=")[0][:200].rstrip(". ")
