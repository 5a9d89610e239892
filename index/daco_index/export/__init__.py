"""Exports an index for other programs: tables, and the formats of reconstruction programs."""
