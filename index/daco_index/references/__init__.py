"""Which photographs to embed, and where they were taken: folders, tables, object stores."""
