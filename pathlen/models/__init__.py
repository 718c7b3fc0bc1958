"""Models: families, checkpoints and their identity, where the parts of an architecture are, loading, the Hub."""
