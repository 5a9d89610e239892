"""Renders streets of the demo city as photographs."""
