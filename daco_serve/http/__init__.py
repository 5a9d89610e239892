"""The HTTP interface: application, routes, schemas, middleware, refusals, formats."""
