"""Compares the speed of the server with a bare loop and two other servers with the same encoder."""
