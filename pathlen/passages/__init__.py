"""Texts: those that ship with the package, files, and leads of Wikipedia articles."""
