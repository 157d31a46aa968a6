"""What a check of ``pydatacoll doctor`` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OK: Final = "ok"
WARNING: Final = "warning"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    :ivar status: ``ok``, ``warning`` or ``failed``.
    :ivar remedy: what to do about it.
    """

    name: str
    status: str
    detail: str
    remedy: str = ""

    def row(self) -> dict[str, str]:
        """As data, in the members of the server's own diagnosis."""
        return {"check": self.name, "status": self.status, "detail": self.detail, "remedy": self.remedy}
