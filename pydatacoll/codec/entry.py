"""The text form of a sample in the store, ``time,quality,value``, made for a whole column at once."""

from __future__ import annotations

import msgspec

from pydatacoll.model.sample import Sample, Value

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(bool | int | float | str | None).decode


def encode_entry(sample: Sample) -> str:
    """``Sample(1.5, 230.1, 0)`` -> ``1.500000,0,230.1``; the value is JSON."""
    return f"{sample.time:.6f},{int(sample.quality)},{_encode(sample.value).decode()}"


def decode_entry(text: str | bytes) -> Sample:
    """Inverse of :func:`encode_entry`.

    :raises ValueError: when the text is not an entry.
    """
    if isinstance(text, bytes):
        text = text.decode()
    time, quality, value = text.split(",", 2)
    return Sample(float(time), _decode(value), int(quality))


def encode_column(values: list[Value], times: float | list[float], qualities: int | list[int]) -> list[str]:
    """Entries of a column. About 0.1 us a value when time and quality are shared and no value is a text."""
    text = _encode(values).decode()[1:-1]
    if isinstance(times, list) or isinstance(qualities, list) or '"' in text:
        count = len(values)
        if not isinstance(times, list):
            times = [times] * count
        if not isinstance(qualities, list):
            qualities = [qualities] * count
        return list(map(encode_entry, map(Sample, times, values, qualities)))
    prefix = f"{times:.6f},{int(qualities)},"
    return (prefix + text.replace(",", "\0" + prefix)).split("\0")
