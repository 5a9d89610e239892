"""HTTP/1.1 as bytes on a connection: limits and timeouts before a route is called."""
