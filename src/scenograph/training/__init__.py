"""One trainer, its recipes and checkpoints."""
