"""Models, one file per system."""
