"""An index as files for other programs: tables, and what reconstruction programs read."""
