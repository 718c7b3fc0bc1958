"""Records of runs: their schema, their files, and how several are merged."""
