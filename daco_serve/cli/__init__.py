"""The command `daco-serve`."""
