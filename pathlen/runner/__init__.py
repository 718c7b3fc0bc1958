"""One run: its settings, the columns it measures, the controls it runs, the findings it makes."""
