"""The command `daco-index`."""
