"""Ground truth: the published protocols of the field's data sets, and tables of right answers."""
