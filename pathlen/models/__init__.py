"""Models: families, checkpoints and their identity, the parts of an architecture, loading, the Hub."""
