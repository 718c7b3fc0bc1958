"""Forward passes with hooks: from states to columns while they stream by."""
