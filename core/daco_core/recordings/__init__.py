"""Recordings: reads videos and robots' logs as timed frames."""
