"""What is measured of a text: the catalog of columns, the tables that hold them, and how rows are aligned. No torch here."""
