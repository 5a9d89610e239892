"""Speed benchmarks: training, embedding, search, stores, servers."""
