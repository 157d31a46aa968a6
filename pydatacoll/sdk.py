"""What a protocol driver or a plugin imports. Everything here is stable; nothing else is.

A protocol is one :class:`DeviceDriver` subclass, registered as an entry point in the group
``pydatacoll.protocols`` or dropped as a file into a configured folder. Four methods are required: ``connect``,
``close``, ``read`` and ``write``. The others have defaults and exist for speed (``plan`` and ``poll``), for
devices that speak by themselves (``subscribe``), for commissioning (``describe``, ``probe``), for select before
operate in two steps (``check_select``, ``select``, ``execute``, ``cancel``) and for checks at configuration time
(``check``, ``address``, ``check_value``), which are pure and never touch the network.

A plugin is one :class:`Plugin` subclass (entry-point group ``pydatacoll.plugins``). One method is required:
``handle``, which takes a batch of samples and may return its :class:`Effects`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydatacoll import resolver
from pydatacoll.errors import (
    Conflict,
    DeviceError,
    DeviceOffline,
    DeviceRefused,
    DeviceTimeout,
    Invalid,
    TryLater,
)
from pydatacoll.frame_log import Frame, FrameLog
from pydatacoll.model import DataBatch, Device, DeviceBatch, PointId, Quality, Sample, Term, TermItem, Value
from pydatacoll.model.network import ANYWHERE, Networks
from pydatacoll.plugin import Effects, NoConfig, Plugin, PluginContext, PluginStore
from pydatacoll.points import (
    Discovered,
    Executed,
    Interpretation,
    Interrogated,
    Point,
    PointGroup,
    Probe,
    Readings,
    Result,
    Selected,
    Sink,
    WriteRequest,
    WriteResult,
)

__all__ = [
    "Conflict",
    "DataBatch",
    "Device",
    "DeviceBatch",
    "DeviceDriver",
    "DeviceError",
    "DeviceOffline",
    "DeviceRefused",
    "DeviceTimeout",
    "Discovered",
    "DriverContext",
    "Effects",
    "Executed",
    "Frame",
    "FrameLog",
    "Interpretation",
    "Interrogated",
    "Invalid",
    "NoConfig",
    "Plugin",
    "PluginContext",
    "PluginStore",
    "Point",
    "PointGroup",
    "PointId",
    "Probe",
    "Quality",
    "Readings",
    "Result",
    "Sample",
    "Selected",
    "Sink",
    "Term",
    "TermItem",
    "TryLater",
    "Value",
    "WriteRequest",
    "WriteResult",
]

T = TypeVar("T")


@dataclass(slots=True)
class DriverContext:
    """What the manager gives to a driver.

    :ivar sink: where polled and spontaneous values go.
    :ivar counters: per device, shown in its status and in ``/metrics``; a driver adds its own names.
    :ivar wall: returns epoch seconds; replaced in tests.
    :ivar room: set while a lane is polled without pause: a driver awaits it between the parts of a long poll, so
        that it reads no faster than the store takes and no value grows old in a queue.
    :ivar behind: whether the store is behind with what was read of this device: a driver whose device speaks by
        itself stops receiving meanwhile, as far as its protocol allows, so that nothing has to be dropped.
    :ivar frames: where a driver notes what it sends and receives; ``None`` when nobody wants to know. It changes
        at any moment, so a driver looks here each time: ``if (frames := context.frames) is not None``.
    :ivar networks: those that devices may be in; :meth:`connect` and :meth:`resolve` see to it.
    :ivar certificates: the folder with the certificates and keys that devices name; ``None``: there is none.
    :ivar given_up: ``(selection, error)``: a driver that ends a selection by itself says so here, for the audit
        trail: its time was over and the device has confirmed the deactivation (empty ``error``), or it did not,
        or the link was lost. Not when it is executed or cancelled.
    """

    sink: Sink
    counters: Counter[str] = field(default_factory=Counter)
    log: logging.Logger | logging.LoggerAdapter[logging.Logger] = field(
        default_factory=lambda: logging.getLogger("pydatacoll.driver")
    )
    wall: Callable[[], float] = time.time
    room: Callable[[], Awaitable[None]] | None = None
    behind: Callable[[], bool] = lambda: False
    frames: FrameLog | None = None
    networks: Networks = ANYWHERE
    certificates: Path | None = None
    given_up: Callable[[str, str], None] = lambda _selection, _error: None

    async def connect(
        self,
        host: str,
        port: int,
        connector: Callable[[str], Awaitable[T]],
        *,
        timeout: float,  # noqa: ASYNC109 - divided among the addresses of the host
    ) -> T:
        """Connect to a host: await ``connector(address)`` for each of its addresses until one works.

        The addresses are checked; connect to them and to nothing else, above all not to the name again.

        :param timeout: seconds for the look-up and all attempts.
        :raises DeviceOffline: when none worked; says in plain words why.
        """
        return await resolver.connect(host, port, connector, timeout=timeout, networks=self.networks)

    def check_host(self, host: str) -> None:
        """What the text of an address tells without a look-up.

        :raises DeviceOffline: when it is outside the networks.
        """
        problem = self.networks.problem(host)
        if problem is not None:
            raise DeviceOffline(f"{host} {problem}")

    async def resolve(self, host: str) -> list[str]:
        """The checked addresses of a host, for a driver that :meth:`connect` does not fit; never empty.

        :raises DeviceOffline: when the name is unknown, or no address is within the networks.
        """
        return await resolver.resolve(host, self.networks)


class DeviceDriver(ABC):
    """One device over one protocol. An instance lives as long as the device's configuration.

    ``connect`` and ``close`` may be called many times in turn; ``configure`` at any moment. Errors: raise
    :class:`DeviceOffline` when the link is gone (the manager closes, backs off and connects again), return or
    raise another :class:`DeviceError` for what concerns single points. Never retry a write by yourself.
    """

    name: ClassVar[str]
    """The ``protocol`` of a device."""
    description: ClassVar[str] = ""
    device_type: ClassVar[type[Device]] = Device
    term_type: ClassVar[type[Term]] = Term
    term_item_type: ClassVar[type[TermItem]] = TermItem
    virtual: ClassVar[bool] = False
    """A virtual device has no link; the manager does not run it."""
    command_modes: ClassVar[frozenset[str]] = frozenset({"direct"})
    """What ``mode`` of a command may be; anything else is refused, for it must not be carried out otherwise."""
    groups: ClassVar[Mapping[int, str]] = {}
    """What :meth:`interrogate` can ask for: number -> name. Empty: the protocol knows no interrogation."""
    alive_when_connected: ClassVar[bool] = False
    """Whether :meth:`connect` returns only after the device has answered in its protocol. Otherwise a link counts
    as good when the first value has come."""

    def __init__(self, device: Device, context: DriverContext) -> None:
        self.device = device
        self.context = context

    # Configuration time: pure, called by the API and by the manager.

    @classmethod
    def check_device(cls, device: Device) -> list[tuple[str, str]]:
        """``(field, message)`` for everything wrong with a device that its types do not express."""
        return []

    @classmethod
    def hosts(cls, device: Device) -> list[tuple[str, str]]:
        """``(field, address or host name)`` of everything a device makes the driver connect to."""
        return [("ip", device.ip)]

    @classmethod
    def check(cls, device: Device, term: Term, item: TermItem) -> list[tuple[str, str]]:
        """``(field, message)`` for everything wrong with a term item that its types do not express."""
        return []

    @classmethod
    def address(cls, device: Device, term: Term, item: TermItem) -> Hashable | None:
        """What must be unique among the points of one device; ``None`` for a point without an address.

        Its ``str()`` is what a user is shown when it is taken.
        """
        return item.protocol_code

    @classmethod
    def check_value(cls, device: Device, term: Term, item: TermItem, value: Value) -> Value:
        """Engineering value -> the raw value to be written.

        :raises Invalid: when the point's type cannot hold it exactly.
        """
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if (item.coefficient, item.base_val) == (1.0, 0.0):
                return value
            return (value - item.base_val) / item.coefficient
        return value

    @classmethod
    def check_select(cls, device: Device, term: Term, item: TermItem) -> None:
        """Whether a point can be selected, and executed later (:meth:`select`).

        :raises Invalid: it cannot; says why.
        """
        raise Invalid(f"a point of protocol {cls.name} cannot be selected; give the command at once")

    @classmethod
    def interval(cls, device: Device, term: Term, item: TermItem) -> float | None:
        """Poll interval of a point in seconds; 0 without pause; ``None`` never polled."""
        own = getattr(item, "poll_interval", None)
        interval: float | None = own if own is not None else getattr(device, "poll_interval", None)
        return interval if item.protocol_code is not None else None

    @classmethod
    def describe(cls, frames: Sequence[Frame]) -> list[str]:
        """What frames mean, in plain words: one text for each, in order; oldest first.

        All are given at once, because an answer is often understood only together with its request. Called in a
        thread of its own, with whatever the device sent: it must not raise, and not look at the driver's state.
        """
        return [frame.text for frame in frames]

    # Run time.

    @abstractmethod
    async def connect(self) -> None:
        """Open the link, within the device's own time-out.

        :raises DeviceOffline: when that fails.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close the link; never raises, may be called twice."""

    def configure_terms(self, terms: Sequence[Term]) -> None:  # noqa: B027 - optional hook
        """Take all terms of the device, also those without a point: each time before :meth:`configure`."""

    def configure(self, points: Sequence[Point]) -> None:  # noqa: B027 - optional hook
        """Take the whole point list: before the first ``connect`` and after every change."""

    def lanes(self, points: Sequence[Point]) -> Sequence[Sequence[Point]]:
        """Split points of one interval into lanes that are polled independently of each other."""
        return [points]

    def plan(self, points: Sequence[Point]) -> Any:
        """Prepare repeated reads of one lane; the result is passed to ``poll`` as it is."""
        return PointGroup(points)

    async def poll(self, plan: Any) -> None:
        """Read a lane once and put the values into the sink."""
        group: PointGroup = plan
        results = await self.read(group.points)
        now = self.context.wall()
        samples = [r if isinstance(r, Sample) else Sample(now, None, Quality.INVALID) for r in results]
        self.context.sink.values(
            Readings(
                group,
                [sample.value for sample in samples],
                [sample.time for sample in samples],
                [sample.quality for sample in samples],
            )
        )

    async def subscribe(self) -> None:
        """Run as long as the link is up, putting spontaneous values into the sink.

        :raises DeviceOffline: when the link is lost.
        """
        await asyncio.Event().wait()

    @abstractmethod
    async def read(self, points: Sequence[Point]) -> Sequence[Result]:
        """Read now, from the device; one result per point, in order."""

    @abstractmethod
    async def write(self, requests: Sequence[WriteRequest]) -> Sequence[WriteResult]:
        """Write now, each at most once; one result per request, in order.

        A sample means that the device confirmed; its value is the one written, or read back with ``verify``.
        """

    # Select before operate in two steps; only of points for which check_select() does not raise.

    async def select(self, request: WriteRequest) -> Selected:
        """Make the device expect this command, and hold that: until it is executed, cancelled, or its time is
        over; then the device is told to forget it, if the protocol can. It is lost with the link. Meanwhile any
        other command for the point is a :class:`Conflict`.

        :raises DeviceError: the device does not confirm it; nothing is held then.
        :raises Conflict: the point is selected already.
        """
        raise Invalid(f"protocol {self.name} knows no selection")

    async def execute(self, selection: str, request: WriteRequest) -> WriteResult:
        """Execute what was selected, at most once; returns and raises as one result of :meth:`write`.

        :param request: the same value.
        :raises Conflict: there is no such selection (any more); nothing was sent.
        :raises Invalid: another value was selected; nothing was sent, and the selection is still held.
        """
        raise Invalid(f"protocol {self.name} knows no selection")

    async def cancel(self, selection: str, point: Point) -> None:
        """Give a selection up; the device is told.

        :raises Conflict: there is no such selection (any more).
        """
        raise Invalid(f"protocol {self.name} knows no selection")

    async def probe(self, point: Point, left: float) -> Probe:
        """Try one point of a device that is not in service yet; it is configured, and the link is open.

        :param left: seconds after which this is cancelled.
        """
        (result,) = await self.read([point])
        return Probe(result)

    async def interrogate(
        self, group: int, terms: Sequence[str] | None = None, *, freeze: int = 0
    ) -> Sequence[Interrogated]:
        """Make the device send all values of a group now; they go into the sink.

        :param group: one of :attr:`groups`.
        :param terms: ids of the terms asked; ``None`` for all of the device.
        :param freeze: what the device does with its counters on the way, in the protocol's own numbers; 0 nothing.
        :raises Conflict: the protocol knows no interrogation.
        """
        raise Conflict(f"a device of protocol {self.name} cannot be interrogated")

    def discovered(self) -> Sequence[Discovered]:
        """Addresses that send and are not configured, since the device was started."""
        return []

    def status(self) -> dict[str, Any]:
        """Protocol-specific details for the device's status; JSON types only."""
        return {}
