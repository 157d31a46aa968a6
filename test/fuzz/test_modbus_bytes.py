"""Whatever arrives, the Modbus frame code raises only its own two classes and never takes it for a value."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from pydatacoll.protocols.modbus_tcp import frames
from pydatacoll.protocols.modbus_tcp.frames import (
    LocalProtocolError,
    ModbusException,
    RemoteProtocolError,
    Splitter,
    pack_frame,
)
from pydatacoll.testing.modbus_tables import Unit, handle

requests = st.one_of(
    st.builds(frames.read, st.just(1), st.sampled_from([1, 2, 3, 4]), st.integers(0, 60000), st.integers(1, 125)),
    st.builds(frames.write_register, st.just(1), st.integers(0, 65535), st.binary(min_size=2, max_size=2)),
    st.builds(frames.mask_write, st.just(1), st.integers(0, 65535), st.just(0xFFFE), st.just(1)),
)


@settings(max_examples=1000)
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_random_bytes_on_the_stream(chunks: list[bytes]) -> None:
    splitter = Splitter()
    kinds = set()
    for chunk in chunks:
        try:
            for frame in splitter.feed(chunk):
                assert 1 <= len(frame.pdu) <= 253
        except RemoteProtocolError as exc:
            kinds.add(exc.kind)
    assert kinds <= {"garbage"}


@settings(max_examples=1000)
@given(requests, st.integers(0, 255), st.binary(max_size=253))
def test_random_replies(request: frames.Request, unit: int, pdu: bytes) -> None:
    try:
        answer = request.parse(unit, pdu)
    except RemoteProtocolError:
        return
    assert unit == 1
    if isinstance(answer, ModbusException):
        assert pdu == bytes([request.function | 0x80, answer.code])
    else:
        assert len(answer) == (request.size or 0)
        assert pdu[0] == request.function


@settings(max_examples=1000)
@given(requests, st.data())
def test_a_right_reply_with_one_byte_changed(request: frames.Request, data: st.DataObject) -> None:
    reply = bytearray(pack_frame(5, 1, handle(Unit(), request.pdu, 0.0)))
    place = data.draw(st.integers(0, len(reply) - 1))
    reply[place] ^= data.draw(st.integers(1, 255))
    splitter = Splitter()
    counters: Counter[str] = Counter()
    for transaction, unit, pdu in splitter.feed(bytes(reply)):
        if transaction != 5:
            counters["stale"] += 1
            continue
        try:
            answer = request.parse(unit, pdu)
        except RemoteProtocolError as exc:
            counters[exc.kind] += 1
        else:
            # Only the data themselves may differ without being noticed: TCP guards those.
            assert isinstance(answer, ModbusException) or (request.size is not None and place >= 9)


@given(
    st.integers(-5, 300),
    st.integers(-5, 70000),
    st.integers(-5, 3000),
    st.binary(max_size=300),
)
def test_building_requests(unit: int, address: int, count: int, data: bytes) -> None:
    for build in (
        lambda: frames.read(unit, 3, address, count),
        lambda: frames.read(unit, 1, address, count),
        lambda: frames.write_registers(unit, address, data),
        lambda: frames.write_coils(unit, address, data, count),
        lambda: frames.read_write(unit, address, count, address, data),
        lambda: frames.mask_write(unit, address, count, count),
    ):
        try:
            request = build()
        except LocalProtocolError:
            continue
        assert len(request.tail) + 2 <= 260
