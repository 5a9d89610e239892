"""The photographs in requests: who may upload now, and what a form or a body holds."""
