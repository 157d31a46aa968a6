"""The text form of samples."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.codec.entry import (
    decode_entry,
    encode_column,
    encode_entry,
    entry_to_json,
    quality_of_entry,
    row_json,
)
from pydatacoll.model import PointId, Sample, Value, sample_to_wire

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=40),
)
times = st.floats(0, 4e9).map(lambda t: round(t, 6))
qualities = st.integers(0, 511)


def same(one: Sample, other: Sample) -> bool:
    return (
        math.isclose(one.time, other.time, abs_tol=1e-6)
        and one.value == other.value
        and type(one.value) is type(other.value)
        and one.quality == other.quality
    )


@given(values, times, qualities)
def test_decoding_gives_back_what_was_encoded(value, time, quality):
    sample = Sample(time, value, quality)
    assert same(decode_entry(encode_entry(sample)), sample)


@given(st.lists(values, min_size=1, max_size=50), times, qualities)
def test_a_column_is_its_entries(column, time, quality):
    expected = [encode_entry(Sample(time, value, quality)) for value in column]
    assert encode_column(column, time, quality) == expected


@given(st.lists(st.tuples(values, times, qualities), min_size=1, max_size=50))
def test_a_column_with_own_times_and_qualities(rows):
    column, moments, flags = (list(part) for part in zip(*rows, strict=True))
    assert encode_column(column, moments, flags) == [encode_entry(Sample(t, v, q)) for v, t, q in rows]


@given(st.lists(values, min_size=1, max_size=50), st.data())
def test_a_column_with_own_times_or_qualities(column, data):
    moments = data.draw(st.lists(times, min_size=len(column), max_size=len(column)))
    flags = data.draw(st.lists(qualities, min_size=len(column), max_size=len(column)))
    own_times = [encode_entry(Sample(t, v, 5)) for v, t in zip(column, moments, strict=True)]
    assert encode_column(column, moments, 5) == own_times
    own_qualities = [encode_entry(Sample(7.25, v, q)) for v, q in zip(column, flags, strict=True)]
    assert encode_column(column, 7.25, flags) == own_qualities


def test_times_have_the_digits_they_need():
    assert encode_entry(Sample(1795255708.123, 1320.3)) == "1795255708.123,0,1320.3"
    assert encode_column([1, 2], 1795255708.0, 4) == ["1795255708.0,4,1", "1795255708.0,4,2"]


def test_a_text_with_commas_and_zero_bytes_survives():
    sample = Sample(1.0, 'a,"b",\x00c', 0)
    assert decode_entry(encode_column([sample.value], 1.0, 0)[0]) == sample


def test_large_integers_keep_every_digit():
    assert decode_entry(encode_column([2**63 - 1], 1.0, 0)[0]).value == 2**63 - 1


@pytest.mark.parametrize("text", ["", "1", "1,2", "x,0,1", "1,x,1", "1,0,", "1,0,{}"])
def test_what_is_no_entry_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec's errors are ValueErrors
        decode_entry(text)


@given(times, values, qualities)
def test_the_text_of_a_wire_object_is_that_object(time: float, value: Value, quality: int) -> None:
    sample = Sample(time, value, quality)
    point = PointId("feeder1", "main", "ua")
    text = entry_to_json(point, encode_entry(sample))
    assert msgspec.json.decode(text) == sample_to_wire(point, sample)
    assert quality_of_entry(encode_entry(sample)) == quality


@pytest.mark.parametrize(
    "text", ["", "1.0", "1.0,0", "x,0,1", "1.0,y,1", "1.0,0,", "1.0,0,{}", "1.0,0,1,2", "1,0,NaN"]
)
def test_junk_does_not_become_json(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong, of this class
        entry_to_json(PointId("d", "t", "i"), text)


@given(values | st.floats(), times, qualities)
def test_a_row_of_live_push_says_the_same_as_the_object(value: Value, time: float, quality: int) -> None:
    shown = sample_to_wire(PointId("d", "t", "i"), Sample(time, value, quality))
    if isinstance(value, float) and not math.isfinite(value):
        shown["value"] = None
    row = msgspec.json.decode(row_json("d", "t:i", time, value, quality))
    assert row == ["d:t:i", shown["time"], shown["value"], shown["quality"]]
