"""Calibrations: of one map by queries whose place is known, and of any map by several sets at once."""
