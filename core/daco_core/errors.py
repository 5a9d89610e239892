"""The errors that a caller can put right, by kind.

All of them derive from `DacoError`. The message is one sentence for the user: what is wrong, where, and what to do. A
command prints it and ends with exit code 1. The classes are what a program can react to differently: correct the call
(`UsageError`), name another path (`NotFound`), restore or rebuild (`DamagedIndex`, `DamagedEncoder`), wait and retry
(`StoreAway`), or install something (`MissingExtra`). Anything else is a plain `DacoError`, such as a full disk or a
file that cannot be read.
"""


class DacoError(Exception):
    """Something a user can put right: the message says what is wrong, where, and what to do."""


class UsageError(DacoError):
    """An option or argument that is impossible, or that contradicts another one."""


class NotFound(DacoError):
    """A path or name does not exist: there is no index, encoder, data set or photograph of that name."""


class DamagedIndex(DacoError):
    """The files of an index are incomplete, do not match their checksums, or have a newer format."""


class DamagedEncoder(DacoError):
    """The files of an encoder are damaged, have a newer format, or give descriptors that are not finite."""


class StoreAway(DacoError):
    """A vector store, an object store or a disk does not respond now; the same call may succeed later."""


class MissingExtra(DacoError):
    """A required package is not installed; the message says which extra to install."""


def reason_of(error: Exception) -> str:
    """Why something failed, for a sentence that names the file already: without the number and path of an OSError."""
    # errors of FFmpeg have this attribute, too
    return getattr(error, "strerror", None) or str(error)
