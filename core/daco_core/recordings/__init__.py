"""Recordings: videos and robots' logs, read as frames with their times."""
