"""Running a server: settings, workers, keys, logs, metrics."""
