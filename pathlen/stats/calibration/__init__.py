"""How often intervals cover: the table that ships, and the simulation that counts it."""
