"""Faster ways to compute what torch computes, each held to torch by tests and each optional."""
