"""Data sets: their photographs, checks, statistics, and conversion from downloads."""
