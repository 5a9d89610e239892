"""The address of a vector store: `faiss`, a file next to the catalogue; or that of a Milvus server."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from daco_core.errors import UsageError

FAISS = "faiss"
PORT = 19530
SCHEMES = {"milvus": "http", "milvus+tls": "https"}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
INDEXES = ("HNSW", "IVF_FLAT", "IVF_SQ8", "FLAT")  # supported by Milvus Lite and by a cluster
FORM = "milvus://HOST:19530/NAME"


@dataclass(frozen=True)
class MilvusAddress:
    """`milvus://host:19530/name?index=HNSW`: a server, and the prefix of the collections that are created there.

    With the scheme `milvus+tls` the connection is encrypted. It contains no secrets, because it is stored in the index.
    """

    scheme: str
    host: str
    port: int
    name: str
    index: str = INDEXES[0]

    @classmethod
    def parse(cls, text: str) -> "MilvusAddress":
        """Parses an address. Raises UsageError if it is invalid."""
        try:
            parts = urlsplit(text)
            port = parts.port or PORT
            options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        except ValueError as error:
            raise UsageError(f"{text} is not an address such as {FORM}: {error}.") from error
        if parts.username or parts.password:
            raise UsageError("Addresses are stored in the index: omit the password, and set DACO_MILVUS_TOKEN.")
        name = parts.path.strip("/")
        if parts.scheme not in SCHEMES or not parts.hostname or NAME.fullmatch(name) is None:
            raise UsageError(f"{text} is not an address such as {FORM}, with a name of letters, digits and '_'.")
        index = options.pop("index", INDEXES[0]).upper()
        if index not in INDEXES or options:
            raise UsageError(f"{text} may end in ?index=NAME with one of {', '.join(INDEXES)}, and in nothing else.")
        return cls(parts.scheme, parts.hostname, port, name, index)

    @property
    def server(self) -> str:
        """Host and port, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def uri(self) -> str:
        """The server in pymilvus's form."""
        return f"{SCHEMES[self.scheme]}://{self.server}"

    def __str__(self) -> str:
        index = "" if self.index == INDEXES[0] else f"?index={self.index}"
        return f"{self.scheme}://{self.server}/{self.name}{index}"


def check_address(text: str) -> str:
    """Normalises `faiss` or the address of a Milvus server. Raises UsageError for anything else."""
    if text.lower() == FAISS:
        return FAISS
    if "://" not in text:
        raise UsageError(f"There is no store {text!r}: use {FAISS} or {FORM}.")
    return str(MilvusAddress.parse(text))
