"""API keys: a file of hashes, written by the administrator and read by the server; and when a key is required."""

import fcntl
import hashlib
import hmac
import ipaddress
import json
import logging
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daco_core.errors import DacoError, NotFound, UsageError, reason_of
from daco_core.files import write_text

log = logging.getLogger(__name__)

PREFIX = "daco_"  # lets people, and tools that search for leaked secrets, recognise a key
SECRET_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # pydantic takes 20 ms to compile \w
LOOK_SECONDS = 1.0  # how soon a server notices that the file has changed


class Key(BaseModel):
    """The stored data of a key.

    A plain SHA-256 suffices: slow hashes protect passwords chosen by people, and nobody can guess 256 random bits.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field(pattern=f"^{NAME.pattern}$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    created: datetime


class _Content(BaseModel):
    keys: list[Key]


class KeyFile:
    """The file with the keys' hashes: readable by its owner only, and replaced atomically."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Key]:
        """The keys; none if there is no file.

        Raises:
            DacoError: the file is damaged, cannot be read, or is writable by others.
        """
        try:
            # non-blocking, in case it is not a file but a pipe without a writer
            with open(self.path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
                mode = os.fstat(file.fileno()).st_mode
                if not stat.S_ISREG(mode):
                    raise DacoError(f"{self.path} is not a file.")
                content = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DacoError(f"The keys in {self.path} cannot be read: {reason_of(error)}.") from error
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise DacoError(f"{self.path} is writable by others, who could add keys: chmod 600 {self.path}")
        try:
            return _Content.model_validate_json(content).keys
        except ValidationError as error:
            raise DacoError(f"{self.path} is not a key file, or is damaged: create a new one.") from error

    def add(self, name: str) -> str:
        """Creates a key and returns it: it cannot be read again later.

        Raises:
            DacoError: the name is taken or has invalid characters, or the file cannot be written.
        """
        if not NAME.fullmatch(name):
            raise UsageError(f"A key's name has up to 64 letters, digits, '.', '_' and '-': not {name!r}.")
        token = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        with self._locked():
            keys = self.read()
            if any(key.name == name for key in keys):
                raise UsageError(f"There is a key {name} already: remove it first, or choose another name.")
            self._write([*keys, Key(name=name, sha256=_digest(token), created=datetime.now(UTC))])
        return token

    def remove(self, name: str) -> None:
        """Removes a key; running servers reject it a moment later.

        Raises:
            DacoError: there is no key of that name, or the file cannot be written.
        """
        with self._locked():
            keys = self.read()
            kept = [key for key in keys if key.name != name]
            if len(kept) == len(keys):
                raise NotFound(f"{self.path} has no key {name}: daco-serve key list shows what it has.")
            self._write(kept)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """A lock, so that two concurrent writers do not lose each other's key."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX)
                yield
            finally:
                os.close(folder)
        except OSError as error:
            raise DacoError(f"The keys in {self.path} cannot be written: {reason_of(error)}.") from error

    def _write(self, keys: list[Key]) -> None:
        write_text(self.path, json.dumps(_Content(keys=keys).model_dump(mode="json"), indent=2) + "\n", mode=0o600)


class KeyRing:
    """The valid keys of a server: changes of the file take effect within a second, without a restart.

    If the file is missing or damaged, no key is valid.
    """

    def __init__(self, file: KeyFile) -> None:
        self._file = file
        self._keys = file.read()
        self._seen = self._state()
        self._look_at = time.monotonic() + LOOK_SECONDS

    def __len__(self) -> int:
        return len(self._keys)

    def name_of(self, token: str) -> str | None:
        """The name of a key, or None for an unknown one; takes the same time for every wrong key."""
        if time.monotonic() >= self._look_at:
            self._look_again()
        digest = _digest(token)
        names = [key.name for key in self._keys if hmac.compare_digest(key.sha256, digest)]
        return names[0] if names else None

    def _look_again(self) -> None:
        self._look_at = time.monotonic() + LOOK_SECONDS
        state = self._state()
        if state == self._seen:
            return
        self._seen = state
        try:
            self._keys = self._file.read()
            log.info("%d keys are valid now.", len(self._keys))
        except DacoError as error:
            self._keys = []
            log.error("No key is valid until this is corrected: %s", error)

    def _state(self) -> tuple[int, int, int, int] | None:
        try:
            found = self._file.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode


def default_file() -> Path:
    """The default file of keys: `daco-serve/keys.json` in the user's configuration folder."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "daco-serve" / "keys.json"


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to a server that listens on this address."""
    try:
        found = [info[4][0] for info in socket.getaddrinfo(host, None)]
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address).split("%")[0]).is_loopback for address in found)


def key_ring(host: str, file: Path | None, open_to_all: bool) -> KeyRing | None:
    """The keys that a server listening on `host` requires; None if it requires none.

    On loopback a key is required only if a file is named; elsewhere always, unless the server is open to all.

    Raises:
        UsageError: a key is required and there is none, or the settings contradict each other.
    """
    if open_to_all:
        if file is not None:
            raise UsageError("--open requires no key and --keys requires one: give only one of them.")
        return None
    if file is None and is_loopback(host):
        return None
    ring = KeyRing(KeyFile(file or default_file()))
    if not ring:
        where = f" --keys {file}" if file else ""
        raise UsageError(
            f"Clients of {host} need a key, and there is none yet: create one with"
            f" 'daco-serve key add NAME{where}', or require none with --open."
        )
    return ring


def first_key(host: str, file: Path | None, open_to_all: bool) -> str | None:
    """Creates a key named `first` if `key_ring` would fail because there is none; None if that is not necessary.

    Raises:
        DacoError: the file of keys cannot be read or written.
    """
    if open_to_all or (file is None and is_loopback(host)):
        return None
    keys = KeyFile(file or default_file())
    return None if keys.read() else keys.add("first")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
