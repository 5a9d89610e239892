"""`daco-bench index`: compares the search of daco-serve with FAISS, usearch and hnswlib, for several sizes."""
