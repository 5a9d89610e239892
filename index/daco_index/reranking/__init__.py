"""Re-ranking: compares the first candidates of a search with the query by their local descriptors."""

CANDIDATES = 20  # the default number of candidates that are compared with the query cell by cell
