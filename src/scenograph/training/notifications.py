"""Messages about a run to people: by mail, chat or web hook, through apprise."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from scenograph.errors import UserError, missing_extra

log = logging.getLogger(__name__)


class Notifier:
    """Sends messages, and never stops a run: messages that cannot be sent are counted, and the first is said.

    Args:
        addresses: As apprise takes them: ``slack://...``, ``mailto://...``, ``json://...``. They hold passwords, and so
            no message or error names them.
        name: Of the run, in front of every subject.
        every: Steps between two messages about validations; None means that each is told.

    Raises:
        UserError: An address is of no known kind, or apprise is not installed.
    """

    def __init__(self, addresses: Sequence[str], name: str, every: int | None = None) -> None:
        try:
            import apprise
        except ImportError as error:
            raise missing_extra("apprise", "notify") from error
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it logs addresses
        self.name, self.every, self.failed = name, every, 0
        self._told = 0
        self._services = apprise.Apprise()
        for number, address in enumerate(addresses, start=1):
            kind = address.partition("://")[0]
            shown = f"{kind[:20]}://" if "://" in address and kind.isalnum() else "no KIND://"
            if not self._services.add(address):
                raise UserError(
                    f"training.notify, address {number} of {len(addresses)}: not one that apprise knows; it begins "
                    f"with {shown}, expected such as mailto:// or slack://"
                )

    def due(self, step: int) -> bool:
        """Whether a validation at this step is to be told; if so, it counts as told."""
        if self.every is not None and step - self._told < self.every:
            return False
        self._told = step
        return True

    def send(self, what: str, text: str = "", picture: Path | None = None) -> None:
        """Send a message; ``picture`` is a file that goes with it."""
        attached = None if picture is None else str(picture)
        try:
            sent = bool(self._services.notify(title=f"{self.name}: {what}", body=text or what, attach=attached))
        except Exception:  # whatever a service raises, and whatever it says may hold its address
            sent = False
        if not sent:
            self.failed += 1
            if self.failed == 1:
                log.warning("a message about the run could not be sent to all addresses; training goes on")
