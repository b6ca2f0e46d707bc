"""The language all parts speak; needs no model."""
