"""The commands `daco-train` and `daco-data`."""
