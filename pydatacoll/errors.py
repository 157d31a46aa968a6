"""One error tree. A class says who is at fault and whether trying again can help.

=====================  ========  =========  ======================================
class                  at fault  transient  HTTP status
=====================  ========  =========  ======================================
``ConfigError``        user      no         (stops the start)
``NotFound``           user      no         404
``Conflict``           user      no         409
``Invalid``            user      no         422
``TooMany``            user      yes        429
``DeviceRefused``      device    no         502
``DeviceOffline``      device    yes        503
``DeviceTimeout``      device    yes        504
``NoManager``          us        yes        503
``StoreUnavailable``   us        yes        503
``StoreRefused``       us        no         503
``StoreTooNew``        user      no         503
``TryLater``           others    yes        503
=====================  ========  =========  ======================================

Nothing outside this tree leaves the package on purpose; what does is a bug and is logged once, with its
traceback, by the supervisor that owns the task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad field of a request. ``index`` is the place in a batch (0 for a single object)."""

    index: int
    field: str
    message: str


class PyDataCollError(Exception):
    """Root of the tree. ``str(error)`` is fit to be shown to the user."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    transient: ClassVar[bool] = False


class ConfigError(PyDataCollError):
    """A setting is unknown, ill-typed or unsafe. The message names it and the remedy."""

    title = "Bad configuration"


class RequestError(PyDataCollError):
    """The request is wrong; repeating it unchanged cannot help."""


class NotFound(RequestError):
    """An object does not exist. The message reads ``device_id not found! 7``."""

    status = 404
    title = "Not found"


class Conflict(RequestError):
    """The request contradicts the present state (duplicate id or address, disabled device, not writable)."""

    status = 409
    title = "Conflict"


class Invalid(RequestError):
    """Content is well-formed but not acceptable. ``errors`` names every bad field."""

    status = 422
    title = "Unprocessable content"

    def __init__(self, message: str, errors: list[FieldError] | None = None) -> None:
        super().__init__(message)
        self.errors: list[FieldError] = errors or []

    @classmethod
    def of(cls, errors: list[FieldError]) -> Invalid:
        """Build from field errors, with a message that reads well for one and for many."""
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return cls(f"{first.field}: {first.message}{more}", errors)


class TooMany(RequestError):
    """So many of these are under way that another one has to wait; trying again later helps."""

    status = 429
    title = "Too many requests"
    transient = True


class DeviceError(PyDataCollError):
    """The device, or the way to it, failed.

    :ivar outcome: what became of a command, as one word for programs (``negative``, ``select_timeout``); empty
        where the protocol tells no more than the class does.
    """

    def __init__(self, message: str = "", *, outcome: str = "") -> None:
        super().__init__(message)
        self.outcome = outcome


class DeviceRefused(DeviceError):
    """The device answered, negatively. ``reason`` is the protocol's own term (``exception 2: ...``)."""

    status = 502
    title = "The device refused"


class DeviceOffline(DeviceError):
    """There is no working connection to the device."""

    status = 503
    title = "Device offline"
    transient = True


class DeviceTimeout(DeviceError):
    """The device did not answer in time; whether it acted is unknown."""

    status = 504
    title = "No answer from the device"
    transient = True


class NoManager(PyDataCollError):
    """No device manager is running that owns the device."""

    status = 503
    title = "No device manager"
    transient = True


class StoreError(PyDataCollError):
    """The Redis store failed."""

    status = 503


class StoreUnavailable(StoreError):
    """The store cannot be reached now; everything reconnects by itself."""

    title = "Store unavailable"
    transient = True


class StoreTooNew(StoreError):
    """The data was written by a newer release, in a layout that this one does not know. It stops the start."""

    title = "Store too new"


class StoreRefused(StoreError):
    """The store answers but refuses the operation (out of memory, disk full, read only)."""

    title = "Store refused"


class TryLater(PyDataCollError):
    """What a plugin needs, such as its database, is away. The batch comes again until it is back."""

    status = 503
    title = "Not available now"
    transient = True
