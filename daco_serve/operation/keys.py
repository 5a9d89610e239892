"""API keys: a file of hashes that one person writes and the server reads, and who has to show a key at all."""

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

from daco_core.errors import DacoError, NotFound, UsageError
from daco_core.files import write_text

log = logging.getLogger(__name__)

PREFIX = "daco_"  # lets people, and programs that look for leaked secrets, see what a string is
SECRET_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # pydantic takes 20 ms to compile \w
LOOK_SECONDS = 1.0  # how soon a server notices that the file has changed


class Key(BaseModel):
    """What is kept of a key.

    Its plain SHA-256 is enough: a slow hash guards what people think up, and nobody guesses 256 random bits.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field(pattern=f"^{NAME.pattern}$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    created: datetime


class _Content(BaseModel):
    keys: list[Key]


class KeyFile:
    """The file that holds the keys' hashes: readable by its owner only, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Key]:
        """The keys; none where there is no file.

        Raises:
            DacoError: the file is damaged, cannot be read, or others may write to it.
        """
        try:
            # of what is no file, such as a pipe that nobody writes to, nothing is waited for
            with open(self.path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
                mode = os.fstat(file.fileno()).st_mode
                if not stat.S_ISREG(mode):
                    raise DacoError(f"{self.path} is no file.")
                content = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DacoError(f"The keys in {self.path} cannot be read: {error.strerror}.") from error
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise DacoError(f"Others may write to {self.path} and so let themselves in: chmod 600 {self.path}")
        try:
            return _Content.model_validate_json(content).keys
        except ValidationError as error:
            raise DacoError(f"{self.path} is not a key file, or is damaged: create a new one.") from error

    def add(self, name: str) -> str:
        """Makes a key and returns it: the only time that it is seen.

        Raises:
            DacoError: the name is taken or has odd characters, or the file cannot be written.
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
        """Forgets a key; servers that run refuse it a moment later.

        Raises:
            DacoError: there is none of that name, or the file cannot be written.
        """
        with self._locked():
            keys = self.read()
            kept = [key for key in keys if key.name != name]
            if len(kept) == len(keys):
                raise NotFound(f"{self.path} has no key {name}: daco-serve key list shows what it has.")
            self._write(kept)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps two who write at once from losing each other's key."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX)
                yield
            finally:
                os.close(folder)
        except OSError as error:
            raise DacoError(f"The keys in {self.path} cannot be written: {error.strerror}.") from error

    def _write(self, keys: list[Key]) -> None:
        write_text(self.path, json.dumps(_Content(keys=keys).model_dump(mode="json"), indent=2) + "\n", mode=0o600)


class KeyRing:
    """The keys as a server knows them: what changes in the file counts a second later, without a restart.

    A file that is gone or damaged lets nobody in.
    """

    def __init__(self, file: KeyFile) -> None:
        self._file = file
        self._keys = file.read()
        self._seen = self._state()
        self._look_at = time.monotonic() + LOOK_SECONDS

    def __len__(self) -> int:
        return len(self._keys)

    def name_of(self, token: str) -> str | None:
        """The name of a key, or None for one that is not known; takes equally long for any wrong one."""
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
            log.error("No key is valid until this is put right: %s", error)

    def _state(self) -> tuple[int, int, int, int] | None:
        try:
            found = self._file.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode


def default_file() -> Path:
    """Where keys are unless told otherwise: `daco-serve/keys.json` in the user's folder of settings."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "daco-serve" / "keys.json"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        found = [info[4][0] for info in socket.getaddrinfo(host, None)]
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address).split("%")[0]).is_loopback for address in found)


def key_ring(host: str, file: Path | None, open_to_all: bool) -> KeyRing | None:
    """The keys that a server listening on `host` asks for; None if it asks for none.

    On loopback it asks only if a file was named; elsewhere always, unless it is open to all.

    Raises:
        UsageError: a key is required and there is none, or the settings contradict each other.
    """
    if open_to_all:
        if file is not None:
            raise UsageError("--open asks for no key and --keys for one: give one of the two.")
        return None
    if file is None and is_loopback(host):
        return None
    ring = KeyRing(KeyFile(file or default_file()))
    if not ring:
        where = f" --keys {file}" if file else ""
        raise UsageError(
            f"Whoever reaches {host} needs a key, and there is none yet: make one with"
            f" 'daco-serve key add NAME{where}', or let everybody in with --open."
        )
    return ring


def first_key(host: str, file: Path | None, open_to_all: bool) -> str | None:
    """Makes a key named `first` where `key_ring` would complain that there is none; None where there is no need.

    Raises:
        DacoError: the file of keys cannot be read or written.
    """
    if open_to_all or (file is None and is_loopback(host)):
        return None
    keys = KeyFile(file or default_file())
    return None if keys.read() else keys.add("first")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
