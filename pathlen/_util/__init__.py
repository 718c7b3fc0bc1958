"""Files, the cache, fingerprints of code, memory, provenance: what every other package builds on. Knows nothing of models."""
