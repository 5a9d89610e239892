"""The one exception that a command turns into a sentence for its user."""


class DacoError(Exception):
    """Something a user can put right: the message says what is wrong, where, and what to do."""
