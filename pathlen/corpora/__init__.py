"""Corpora on disk: texts by the million, measured shard by shard on any number of workers."""
