"""Forward passes with hooks that reduce states to columns while the model runs."""
