"""Drawing: SVG by hand, and the figures that the report and notebooks share."""
