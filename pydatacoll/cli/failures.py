"""What a command says on standard error when it fails, and the exit code it ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

import click

from pydatacoll.cli.text import clean

FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
DEVICE: Final = 4
INTERRUPTED: Final = 130

EXIT_CODES: Final[dict[int, str]] = {
    0: "done",
    FAILED: "failed: refused by the server, not found, a check found something",
    USAGE: "wrong usage: nothing was done",
    UNREACHABLE: "the server, its store or a device manager cannot be reached",
    DEVICE: "the device refused, is offline or did not answer in time",
    INTERRUPTED: "interrupted with Ctrl+C",
}

_SHOWN: Final = 20
"""Field errors that are shown; the rest is counted."""
_REMEDIES: Final = {
    "unauthorized": "give an access token with --token-file FILE or in PYDATACOLL_TOKEN; "
    "pydatacoll token new makes one",
    "forbidden": "use an access token that allows it",
    "device-offline": "pydatacoll ls devices shows the state of its link and the last error",
    "no-manager": "start the server with a manager, or python -m pydatacoll.device_manager",
    "store-unavailable": "pydatacoll doctor says more; the server reconnects by itself",
    "store-refused": "pydatacoll doctor says more: memory or disk of the store are full, or it is read only",
    "not-ready": "pydatacoll doctor says more",
    "too-large": "send less at once, or raise the limit in the settings of the server",
}


class Failure(click.ClickException):
    """The command failed.

    :ivar details: further lines.
    :ivar remedy: what to do about it.
    :ivar about: which of several things failed.
    """

    def __init__(self, message: str, code: int = FAILED, *, details: Sequence[str] = (), remedy: str = "") -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]  # one class for all codes
        self.about = ""
        context = click.get_current_context(silent=True)  # there is none any more when it is shown
        self._color = None if context is None else context.color
        self.details = details
        self.remedy = remedy

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it to standard error."""
        message = f"{self.about}: {self.message}" if self.about else self.message
        lines = [f"{click.style('Error:', fg='red', bold=True)} {clean(message)}"]
        lines += [f"  {clean(line)}" for line in self.details[:_SHOWN]]
        if len(self.details) > _SHOWN:
            lines.append(f"  and {len(self.details) - _SHOWN} more")
        if self.remedy:
            lines.append(f"{click.style('Remedy:', bold=True)} {clean(self.remedy)}")
        click.echo("\n".join(lines), file=file, err=file is None, color=self._color)


class Refused(Failure):
    """The server answered with a problem.

    :ivar status: the HTTP status.
    :ivar kind: of the problem, as ``no-manager``.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: str | None = None) -> None:
        self.kind = kind_of(problem)
        remedy = _REMEDIES.get(self.kind, "")
        if retry_after is not None:
            remedy = f"try again after {retry_after} s"
        super().__init__(
            str(problem.get("detail") or problem.get("title") or f"the server answered {status}"),
            code_of(status, problem),
            details=details_of(problem),
            remedy=remedy,
        )
        self.status = status


def kind_of(problem: Mapping[str, Any]) -> str:
    """The name of the kind of a problem: ``/docs#problem-no-manager`` -> ``no-manager``."""
    return str(problem.get("type", "")).partition("#problem-")[2]


def code_of(status: int, problem: Mapping[str, Any]) -> int:
    """The exit code for an HTTP status. What does not come from PyDataColl itself, such as the 502 and 504 of a
    proxy, says nothing about a device."""
    name = kind_of(problem)
    if name.startswith("device-"):
        return DEVICE
    return UNREACHABLE if status in {502, 503, 504} else FAILED


def details_of(problem: Mapping[str, Any]) -> list[str]:
    found = []
    for error in problem.get("errors") or ():
        places = [f"{name} {error[name]}" for name in ("row", "column") if error.get(name) not in (None, "")]
        if error.get("kind"):
            places.append(f"{error['kind']} {error.get('key') or ''}".strip())
        if not places and error.get("index"):
            places.append(f"element {error['index']}")
        if error.get("field") and not error.get("column"):
            places.append(str(error["field"]))
        found.append(": ".join(filter(None, (", ".join(places), str(error.get("message", ""))))))
    if len(found) == 1 and found[0] == problem.get("detail"):
        found.clear()  # a single error stands in the detail already
    if problem.get("outcome"):
        found.append(f"outcome: {problem['outcome']}")
    reasons = [str(reason) for reason in problem.get("reasons") or ()]
    return found + (reasons if len(reasons) > 1 else [])
