"""How fast the server is, beside a bare loop and two other servers of the same encoder."""
