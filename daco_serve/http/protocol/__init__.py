"""HTTP/1.1 and WebSocket connections: limits and timeouts before a route is called."""
