"""The figures for recall tables, one module for each kind."""
