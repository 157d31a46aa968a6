"""What a plugin is given at once: entries joined into a batch, and cut in halves when the batch fails. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from pydatacoll.model import DataBatch, DeviceBatch
from pydatacoll.store.stream import Entry, decode_payload

BUFFER: Final = 500_000
"""Bytes of a partition that are read ahead, about."""


@dataclass(frozen=True, slots=True)
class Work:
    """Samples to be handled together: whole entries, or those of one entry from ``start`` to ``end``."""

    entries: Sequence[Entry]
    devices: Sequence[Sequence[DeviceBatch]]
    start: int
    end: int

    @classmethod
    def of(cls, entries: Sequence[Entry], devices: Sequence[Sequence[DeviceBatch]], start: int = 0) -> Work:
        """
        :param start: samples of the (only) entry that were handled before.
        """
        return cls(entries, devices, start, sum(_length(part) for part in devices))

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def finished(self) -> list[tuple[str, int]]:
        """``(id, samples)`` of the entries that are finished with it; none for the beginning of one."""
        if len(self.entries) == 1 and self.end < _length(self.devices[0]):
            return []
        return [(entry.id, entry.samples) for entry in self.entries]

    def batch(self, partition: int, deliveries: int) -> DataBatch:
        """As the plugin gets it."""
        devices = [batch for part in self.devices for batch in part]
        if len(self) < _length(devices):
            devices = _cut(devices, self.start, self.end)
        ids = [entry.id for entry in self.entries] if len(self.entries) > 1 else []
        sizes = [len(part) for part in self.devices] if ids else []
        return DataBatch(partition, self.entries[-1].id, devices, deliveries, ids, sizes, self.start)

    def halves(self) -> tuple[Work, Work] | None:
        """Two halves, by entries or by samples; ``None`` for a single sample."""
        if len(self.entries) > 1:
            middle = len(self.entries) // 2
            return (
                Work.of(self.entries[:middle], self.devices[:middle]),
                Work.of(self.entries[middle:], self.devices[middle:]),
            )
        if len(self) <= 1:
            return None
        middle = (self.start + self.end) // 2
        return (
            Work(self.entries, self.devices, self.start, middle),
            Work(self.entries, self.devices, middle, self.end),
        )


class Unreadable(Exception):
    """An entry that holds no samples: somebody else has put it into the stream."""

    def __init__(self, entry: Entry, error: Exception) -> None:
        super().__init__(f"the entry cannot be read: {error}")
        self.entry = entry


class Buffer:
    """Entries of one partition that were read and not yet handled.

    :ivar position: id after which the next ones are read.
    """

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._samples = 0
        self._mean = 1000.0
        self.position = "0-0"

    def __len__(self) -> int:
        return len(self._entries)

    def restart(self, position: str) -> None:
        """Forget all; what comes after ``position`` is read again."""
        self._entries.clear()
        self._bytes = self._samples = 0
        self.position = position

    def put(self, entries: Sequence[Entry]) -> None:
        """Take what was read after :attr:`position`."""
        for entry in entries:
            self._bytes += len(entry.payload)
            self._samples += entry.samples
            self._mean += (len(entry.payload) + 64 - self._mean) / 16
        self._entries.extend(entries)
        self.position = entries[-1].id

    def hungry(self, samples: int) -> bool:
        """Whether more should be read, for batches of so many samples."""
        return self._bytes < BUFFER // 2 or (self._samples < samples and self._bytes < 8 * BUFFER)

    @property
    def count(self) -> int:
        """Entries to be read at once."""
        return max(4, min(1000, int(BUFFER / 2 / self._mean)))

    def take(self, samples: int, part: tuple[str, int] = ("", 0)) -> Work:
        """The next work, of up to ``samples`` samples and at least one entry.

        :param part: id of an entry of which so many samples were handled before; the rest of it comes alone.
        :raises Unreadable: when the first entry is not readable; it is taken out.
        """
        entries: list[Entry] = []
        devices: list[list[DeviceBatch]] = []
        total = 0
        offset = part[1] if self._entries[0].id == part[0] else 0
        while self._entries:
            entry = self._entries[0]
            if entries and total + entry.samples > samples:
                break
            try:
                decoded = decode_payload(entry.payload)
            except msgspec.DecodeError as error:
                if entries:
                    break
                self._remove(entry)
                raise Unreadable(entry, error) from error
            self._remove(entry)
            entries.append(entry)
            devices.append(decoded)
            total += entry.samples
            if offset:
                break
        return Work.of(entries, devices, offset)

    def _remove(self, entry: Entry) -> None:
        self._entries.popleft()
        self._bytes -= len(entry.payload)
        self._samples -= entry.samples


def _length(devices: Sequence[DeviceBatch]) -> int:
    return sum(map(len, devices))


def _cut(devices: Sequence[DeviceBatch], start: int, end: int) -> list[DeviceBatch]:
    """The samples from ``start`` to ``end``, counted over all devices."""
    result = []
    for batch in devices:
        length = len(batch)
        first, last = max(start, 0), min(end, length)
        if first < last:
            result.append(batch if last - first == length else _slice(batch, first, last))
        start, end = start - length, end - length
    return result


def _slice(batch: DeviceBatch, start: int, end: int) -> DeviceBatch:
    return DeviceBatch(
        batch.device_id,
        batch.fields[start:end],
        batch.times[start:end] if isinstance(batch.times, list) else batch.times,
        batch.values[start:end],
        batch.qualities[start:end] if isinstance(batch.qualities, list) else batch.qualities,
        batch.late,
    )
