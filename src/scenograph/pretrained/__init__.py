"""Third-party networks that measure pictures: fetched once by name, URL and hash, or read from a file."""
