"""The implementations of `VectorStore`, one in each module."""
