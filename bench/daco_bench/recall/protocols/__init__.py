"""Whose answers are right: the published protocols of the field's data sets, and lists of right answers."""
