"""Texts: the ones that ship with the package, files, and articles of Wikipedia."""
