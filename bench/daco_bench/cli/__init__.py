"""The command `daco-bench`."""
