"""`daco-bench index`: our search side by side with bare FAISS, usearch and hnswlib, over the size of the index."""
