"""Measures, one file per family."""
