"""The studio's service: scenes in, layouts and pictures out, over HTTP."""
