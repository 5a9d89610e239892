"""The routes, one module for each resource: they parse the request, call the service, and return the answer."""
