"""Count how often intervals cover: ``python -m pathlen.stats.calibration``."""

from pathlen.stats.calibration.simulation import main

main()
