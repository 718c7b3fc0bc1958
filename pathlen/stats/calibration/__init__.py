"""How often intervals cover: the table that ships with the package, and the simulation that counts it."""
