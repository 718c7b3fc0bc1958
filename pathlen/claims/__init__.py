"""Claims: how they are declared and judged, and what guards them: controls, a multiverse, a lock."""
