"""The studio: a live scene editor in the browser, and the service behind it."""
