"""Drawing: hand-written SVG, and the figures shared by reports and notebooks."""
