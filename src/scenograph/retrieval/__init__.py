"""A memory of object crops, and the search for those that suit a scene."""
