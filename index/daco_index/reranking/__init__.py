"""Re-ranking: the first candidates of a search, compared with the query cell by cell."""
