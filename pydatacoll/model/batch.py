"""Columns of samples as they travel: from a driver, through the store's stream, to the plugins."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from pydatacoll.model.sample import PointId, Sample, Value


class DeviceBatch(Struct, frozen=True, array_like=True):
    """Samples of one device, in order. The same field may stand more than once.

    ``fields`` holds ``term_id:item_id``; ``times`` (epoch seconds) and ``qualities`` are one number when they
    are the same for all samples, else a list as long as ``fields``. ``late`` says that all of these are older than
    what their points show.
    """

    device_id: str
    fields: list[str]
    times: float | list[float]
    values: list[Value]
    qualities: int | list[int] = 0
    late: bool = False

    def __len__(self) -> int:
        return len(self.fields)

    def samples(self) -> Iterator[tuple[PointId, Sample]]:
        """The batch as rows; comfortable, and slower than the columns."""
        times, qualities = self.times, self.qualities
        for i, field in enumerate(self.fields):
            term_id, _, item_id = field.partition(":")
            yield (
                PointId(self.device_id, term_id, item_id),
                Sample(
                    times[i] if isinstance(times, list) else times,
                    self.values[i],
                    qualities[i] if isinstance(qualities, list) else qualities,
                ),
            )


class DataBatch(Struct, frozen=True):
    """What a plugin gets: one entry of the data stream of one partition, or consecutive ones joined.

    ``partition`` and the ids of the entries are the same at every redelivery, but they may be joined otherwise.

    :ivar entry_id: stream id of the last entry.
    :ivar devices: the samples, in order; a device may stand more than once.
    :ivar deliveries: 1, or more when this runner was given these samples before and failed.
    :ivar entries: ids of all entries; empty when there is one only.
    :ivar sizes: how many of ``devices`` each of these entries has.
    :ivar offset: samples of the (only) entry that come before these: not 0 when an entry that fails was cut.
    """

    partition: int
    entry_id: str
    devices: list[DeviceBatch]
    deliveries: int = 1
    entries: list[str] = []
    sizes: list[int] = []
    offset: int = 0

    @property
    def first_id(self) -> str:
        """Stream id of the first entry."""
        return self.entries[0] if self.entries else self.entry_id

    def __len__(self) -> int:
        return sum(map(len, self.devices))

    def samples(self) -> Iterator[tuple[PointId, Sample]]:
        """All samples as rows, in order."""
        for device in self.devices:
            yield from device.samples()
