"""Data sets, one file each, and the packed form that training reads."""
