"""References: the photographs to embed and their positions, from folders, tables and object stores."""
