"""``python -m scenograph``."""

from scenograph.cli.main import run

run()
