"""Finding crops and scenes that suit a scene."""
