"""The HTTP interface: application, routes, schemas, middleware, error answers, formats."""
