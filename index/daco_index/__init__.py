"""Indexes: embeds reference photographs with an encoder, stores and searches their descriptors."""
