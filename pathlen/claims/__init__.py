"""What a claim is, how it is judged, and what guards it: controls, choices, a lock."""
