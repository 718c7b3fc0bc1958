"""Files, the cache, fingerprints of code, memory, provenance: what every other package leans on. Knows nothing of models."""
