"""Answers to questions: frames of a running device in plain words, its interrogation, its selections, addresses
that send and are not configured; and the probe of a device that is not saved yet."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from pydatacoll.errors import Conflict, DeviceError, DeviceOffline, Invalid, TooMany
from pydatacoll.manager.runner import DeviceRunner
from pydatacoll.model import Device, Sample, Term, TermItem, Value, time_to_wire
from pydatacoll.model.network import Networks
from pydatacoll.model.quality import quality_to_wire
from pydatacoll.model.validation import Schemas
from pydatacoll.sdk import DeviceDriver, Discovered, DriverContext, Frame, Point, PointGroup, Probe, Readings
from pydatacoll.store.queries import What

log = logging.getLogger(__name__)

PROBES = 4
"""Probes at a time."""
PROBE_TIME = 10.0
"""Longest time of a probe, seconds, without closing."""
CLOSE = 2.0
"""Seconds a driver has to close the link of a probe."""
MOST_TEXT = 6_000_000
"""Characters of the frames of one answer, about; older ones are left out."""


class _NoSink:
    """A probe's values go into its answer and nowhere else."""

    def values(self, readings: Readings) -> None:
        pass

    def spontaneous(self, samples: Sequence[tuple[Point, Sample]]) -> None:
        pass

    def arrived(
        self,
        points: Sequence[Point],
        values: Sequence[Value],
        times: Sequence[float] | float,
        qualities: Sequence[int] | int,
    ) -> None:
        pass

    def late(self, samples: Sequence[tuple[Point, Sample]]) -> None:
        pass

    def known(self, point: Point) -> Sample | None:
        return None

    def failed(self, group: PointGroup, quality: int, time: float) -> None:
        pass


class Inspector:
    """Answers the questions that come over the store; see :mod:`pydatacoll.store.queries`."""

    def __init__(
        self,
        runners: Mapping[str, DeviceRunner],
        drivers: Mapping[str, type[DeviceDriver]],
        networks: Networks,
        certificates: Path,
    ) -> None:
        self._runners = runners
        self._drivers = drivers
        self._networks = networks
        self._certificates = certificates
        self._schemas = Schemas(drivers)  # what is outside the networks is an answer of a probe, not a mistake
        self._probes = 0
        self._describing = asyncio.Lock()

    async def answer(self, what: What, device_id: str, body: dict[str, Any], left: float) -> dict[str, Any]:
        """
        :raises DeviceOffline: the device is not running here.
        :raises TooMany: too many probes at a time.
        :raises DeviceError: the device could not be interrogated, or does not confirm a select.
        :raises Conflict: it is selected already, or there is no such selection.
        :raises Invalid: what is to be probed cannot be understood.
        """
        if what == "probe":
            return await self._probe(body, min(left, PROBE_TIME))
        runner = self._runners.get(device_id)
        if runner is None:
            raise DeviceOffline(f"device {device_id} is not running")
        if what == "frames":
            return await self._frames(runner, int(body.get("limit", 100)))
        if what == "interrogate":
            found = await runner.interrogate(
                body["group"], body.get("terms"), freeze=body.get("freeze", 0), wait=min(left, body["wait"])
            )
            return {"results": [msgspec.to_builtins(one) for one in found]}
        if what == "select":
            who = {name: str(body.get(name, "")) for name in ("user", "source")}
            return await runner.select(body["field"], body["value"], min(left, body["left"]), **who)
        if what == "cancel":
            await runner.cancel(body["field"], body["selection_id"])
            return {}
        addresses = list(runner.discovered())
        return {"discovered": await asyncio.to_thread(_listed, addresses)}  # there may be ten thousand

    # Frames

    async def _frames(self, runner: DeviceRunner, limit: int) -> dict[str, Any]:
        frames = runner.frames
        entries = [] if frames is None else frames.newest(limit)
        async with self._describing:  # however many ask, one thread at most takes its share of the processor
            shown = await asyncio.to_thread(_in_words, self._drivers[runner.device.protocol], entries)
        return {"size": 0 if frames is None else frames.size, "frames": shown}

    # Probe

    async def _probe(self, body: dict[str, Any], left: float) -> dict[str, Any]:
        if self._probes >= PROBES:
            raise TooMany(f"{PROBES} probes are under way; try again when one has ended")
        self._probes += 1
        try:
            return await self._probe_once(body, left)
        finally:
            self._probes -= 1

    async def _probe_once(self, body: dict[str, Any], left: float) -> dict[str, Any]:
        device, point = self._parse(body)
        driver_type = self._drivers[device.protocol]
        if driver_type.virtual:
            raise Conflict(f"a device of protocol {device.protocol} is virtual: there is nothing to try")
        context = DriverContext(
            _NoSink(),
            Counter(),
            logging.LoggerAdapter(log, {"device": device.id}),
            networks=self._networks,
            certificates=self._certificates,
        )
        driver = driver_type(device, context)
        started = perf_counter()  # finer than the clock of the loop
        connected: float | None = None
        found: Probe | None = None
        error: str | None = None
        try:
            async with asyncio.timeout(left):
                driver.configure([] if point is None else [point])
                context.check_host(device.ip)
                await driver.connect()
                connected = perf_counter() - started
                if point is not None:
                    found = await driver.probe(point, left - connected)
        except DeviceError as failure:
            error = str(failure)
        except TimeoutError:
            what = "no connection" if connected is None else "no answer"
            error = f"{what} within {left:g} s, the time of a probe"
        except Exception as failure:
            log.exception("probe of %s: the driver failed", device.ip)
            error = f"internal error: {type(failure).__name__}: {failure}"
        finally:
            await _close(driver)
        if found is not None and isinstance(found.result, DeviceError):
            error = str(found.result)
        return {
            "reachable": connected is not None,
            "seconds": round(perf_counter() - started if connected is None else connected, 6),
            "error": error,
            **_meaning(found, point),
        }

    def _parse(self, body: dict[str, Any]) -> tuple[Device, Point | None]:
        device = self._schemas.parse("device", body.get("device"))
        assert isinstance(device, Device)  # noqa: S101 - what the kind means
        if body.get("point") is None:
            return device, None
        term = self._schemas.parse("term", body.get("term"), device.protocol)
        item = self._schemas.parse("term_item", body["point"], device.protocol)
        assert isinstance(term, Term)  # noqa: S101
        assert isinstance(item, TermItem)  # noqa: S101
        errors = self._schemas.check(device, term, item)
        if errors:
            raise Invalid.of(errors)
        return device, Point(term, item)


async def _close(driver: DeviceDriver) -> None:
    """Close the link of a probe, whatever became of it."""
    try:
        async with asyncio.timeout(CLOSE):
            await driver.close()
    except TimeoutError:
        log.error("probe: the driver did not close within %g s", CLOSE)  # noqa: TRY400
    except Exception:
        log.exception("probe: the driver failed to close")


def _meaning(found: Probe | None, point: Point | None) -> dict[str, Any]:
    if found is None or point is None:
        return {"raw": None, "sample": None, "interpretations": []}
    sample = None
    if isinstance(found.result, Sample):
        sample = {
            "time": time_to_wire(found.result.time),
            "value": point.engineering(found.result.value),
            "quality": quality_to_wire(found.result.quality),
        }
    return {
        "raw": None if found.raw is None else found.raw.hex(),
        "sample": sample,
        "interpretations": [msgspec.to_builtins(one) for one in found.interpretations],
    }


def _in_words(driver_type: type[DeviceDriver], entries: list[Frame]) -> list[dict[str, Any]]:
    """Runs in a thread: ten thousand frames take a while. The newest that fit into an answer, oldest first."""
    try:
        texts = driver_type.describe(entries)
    except Exception:  # the bytes are worth showing even when a driver cannot explain them
        log.exception("the driver of protocol %s failed to describe frames", driver_type.name)
        texts = [frame.text for frame in entries]
    shown: list[dict[str, Any]] = []
    size = 0
    for frame, text in zip(reversed(entries), reversed(texts), strict=True):
        size += len(frame.data) * 2 + len(text) + 100
        if size > MOST_TEXT:
            break
        shown.append(
            {
                "time": time_to_wire(frame.time),
                "direction": frame.direction,
                "hex": frame.data.hex(),
                "text": text,
            }
        )
    shown.reverse()
    return shown


def _listed(addresses: Sequence[Discovered]) -> list[dict[str, Any]]:
    """As JSON types, in the order of address and code."""
    rows = sorted(
        addresses, key=lambda one: (one.address, len(one.protocol_code), one.protocol_code, one.code_type)
    )
    return [
        {**msgspec.to_builtins(one), "time": time_to_wire(one.time), "quality": quality_to_wire(one.quality)}
        for one in rows
    ]
