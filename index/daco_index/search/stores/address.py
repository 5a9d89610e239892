"""Where vectors are kept: `faiss`, beside the catalogue; or the address of a Milvus server."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from daco_core.errors import UsageError

FAISS = "faiss"
PORT = 19530
SCHEMES = {"milvus": "http", "milvus+tls": "https"}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
INDEXES = ("HNSW", "IVF_FLAT", "IVF_SQ8", "FLAT")  # what Milvus Lite and a cluster both have
FORM = "milvus://HOST:19530/NAME"


@dataclass(frozen=True)
class MilvusAddress:
    """`milvus://host:19530/name?index=HNSW`: a server, and what the collections that are made there begin with.

    With the scheme `milvus+tls` the connection is encrypted. Secrets are no part of it, since it is written down.
    """

    scheme: str
    host: str
    port: int
    name: str
    index: str = INDEXES[0]

    @classmethod
    def parse(cls, text: str) -> "MilvusAddress":
        """Raises DacoError where it is none."""
        try:
            parts = urlsplit(text)
            port = parts.port or PORT
            options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        except ValueError as error:
            raise UsageError(f"{text} is not an address such as {FORM}: {error}.") from error
        if parts.username or parts.password:
            raise UsageError("An address is written into the index: leave the password out, and set DACO_MILVUS_TOKEN.")
        name = parts.path.strip("/")
        if parts.scheme not in SCHEMES or not parts.hostname or NAME.fullmatch(name) is None:
            raise UsageError(f"{text} is not an address such as {FORM}, its name of letters, digits and '_'.")
        index = options.pop("index", INDEXES[0]).upper()
        if index not in INDEXES or options:
            raise UsageError(f"{text} may end in ?index=NAME, one of {', '.join(INDEXES)}, and in nothing else.")
        return cls(parts.scheme, parts.hostname, port, name, index)

    @property
    def server(self) -> str:
        """Host and port, as one says them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def uri(self) -> str:
        """The server as pymilvus takes it."""
        return f"{SCHEMES[self.scheme]}://{self.server}"

    def __str__(self) -> str:
        index = "" if self.index == INDEXES[0] else f"?index={self.index}"
        return f"{self.scheme}://{self.server}/{self.name}{index}"


def check_address(text: str) -> str:
    """`faiss`, or the address of a Milvus server in one form. Raises DacoError where it is neither."""
    if text.lower() == FAISS:
        return FAISS
    if "://" not in text:
        raise UsageError(f"There is no store {text!r}: take {FAISS} or {FORM}.")
    return str(MilvusAddress.parse(text))
