"""Speed benchmarks: training, embedding, search, vector stores, servers."""
