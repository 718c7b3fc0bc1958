"""Faster ways to compute what torch computes. Each is optional, and tests compare each with torch."""
