"""Fits calibrations: for one map, from queries with known places; and for any map, from several data sets."""
