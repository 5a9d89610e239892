"""Re-ranking: compares the first candidates of a search with the query by their local descriptors."""
