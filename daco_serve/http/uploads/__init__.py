"""Uploaded photographs: admission of requests, and reading forms and bodies."""
