"""The errors that a caller can put right, by kind.

Every one of them is a `DacoError`, and its message is one sentence for the user: what is wrong, where, and what to do.
A command prints it and ends with exit code 1. The kinds are what a program tells apart: call differently
(`UsageError`), name another path (`NotFound`), restore or build again (`DamagedIndex`, `DamagedEncoder`), wait and
retry (`StoreAway`), or install something (`MissingExtra`). What is none of these is a plain `DacoError`: a full disk, a
file that cannot be read.
"""


class DacoError(Exception):
    """Something a user can put right: the message says what is wrong, where, and what to do."""


class UsageError(DacoError):
    """An option or argument that is impossible, or that contradicts another one."""


class NotFound(DacoError):
    """A path or name leads to nothing: no index, no encoder, no data set, no photographs there."""


class DamagedIndex(DacoError):
    """The files of an index are incomplete, are not those that were written, or are of a newer format."""


class DamagedEncoder(DacoError):
    """An encoder whose files are damaged, are of a newer format, or give descriptors that are not numbers."""


class StoreAway(DacoError):
    """A vector store, an object store or a disk does not answer now; the same call may succeed later."""


class MissingExtra(DacoError):
    """A package that this needs is not installed; the message says which extra to install."""
