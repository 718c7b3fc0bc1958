"""Corpora on disk: millions of texts, measured shard by shard on any number of workers."""
