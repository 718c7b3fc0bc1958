"""Records of runs: their schema, their files, and how several become one."""
