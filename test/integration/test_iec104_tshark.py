"""The codec against the dissector of tshark: it must see in our octets what we meant, for every type there is."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import Asdu, encode
from pydatacoll.protocols.iec104.times import Cp24, Cp56
from pydatacoll.protocols.iec104.types import TYPES, Direction
from test.iec104_asdus import all_examples
from test.integration.iec104_peer import i_frame

PREFIX = "iec60870_asdu."
RAW_IP = 101  # the link type of pcap without a link layer


def capture(path: Path, frames: list[bytes]) -> None:
    """A capture file with one TCP segment per frame, from port 2404."""
    host = bytes([127, 0, 0, 1])
    octets = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, RAW_IP)
    position = 1
    for number, frame in enumerate(frames):
        tcp = struct.pack(">HHIIBBHHH", 2404, 40000, position, 1, 0x50, 0x18, 8192, 0, 0) + frame
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), number, 0, 64, 6, 0, host, host) + tcp
        octets += struct.pack("<IIII", number, 0, len(ip), len(ip)) + ip
        position += len(frame)
    path.write_bytes(octets)


def dissect(path: Path, asdus: list[Asdu]) -> list[dict[str, Any]]:
    """What tshark says of each."""
    capture(path, [i_frame(encode(asdu), number, 0) for number, asdu in enumerate(asdus)])
    command = ["tshark", "-r", str(path), "-T", "json", "-J", "iec60870_104 iec60870_asdu"]
    output = subprocess.run(command, capture_output=True, check=True, timeout=60, env=environment()).stdout
    packets = [packet["_source"]["layers"] for packet in json.loads(output)]
    assert len(packets) == len(asdus)
    assert [int(packet["iec60870_104"]["iec60870_104.tx"]) for packet in packets] == list(range(len(asdus)))
    return [packet["iec60870_asdu"] for packet in packets]


def environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "TZ": "UTC", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}


def leaves(tree: dict[str, Any]) -> dict[str, str]:
    """All fields below, without their common prefix."""
    found: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= leaves(value)
        else:
            found[name.removeprefix(PREFIX)] = value
    return found


def bits(name: str, octet: int, **places: int) -> dict[str, str]:
    return {f"{name}.{flag}": str(octet >> place & 1) for flag, place in places.items()}


def state(name: str, field: str, value: int, quality: int) -> dict[str, str]:
    found = {name: f"0x{value | quality:02x}", f"{name}.{field}": str(value)}
    return found | bits(name, quality, bl=4, sb=5, nt=6, iv=7)


def qds(quality: int) -> dict[str, str]:
    return {"qds": f"0x{quality:02x}"} | bits("qds", quality, ov=0, bl=4, sb=5, nt=6, iv=7)


def command(name: str, field: str, value: int, qualifier: int, select: bool) -> dict[str, str]:
    octet = value | qualifier << 2 | select << 7
    fields = {field: str(value), "qu": str(qualifier), "se": str(int(select))}
    return {name: f"0x{octet:02x}"} | {f"{name}.{key}": text for key, text in fields.items()}


def qos(qualifier: int, select: bool) -> dict[str, str]:
    octet = qualifier | select << 7
    return {"qos": f"0x{octet:02x}", "qos.ql": str(qualifier), "qos.se": str(int(select))}


def qpm(kind: int, changed: bool, inactive: bool) -> dict[str, str]:
    octet = kind | changed << 6 | inactive << 7
    fields = {"kpa": str(kind), "lpc": str(int(changed)), "pop": str(int(inactive))}
    return {"qpm": f"0x{octet:02x}"} | {f"qpm.{key}": text for key, text in fields.items()}


def bit_string(value: int) -> dict[str, str]:
    # tshark shows the octets as they come; the first one has bits 1 to 8
    return {"bitstring": "0x" + value.to_bytes(4, "little").hex()}


def shown(value: float) -> str:
    """Six digits, as tshark shows a float."""
    return f"{value:g}"


def of_element(element: e.Element | None) -> dict[str, str]:
    match element:
        case None:
            return {}
        case e.SinglePoint(on, quality):
            return state("siq", "spi", int(on), quality)
        case e.DoublePoint(value, quality):
            return state("diq", "dpi", value, quality)
        case e.StepPosition(position, transient, quality):
            octet = position & 0x7F | transient << 7
            vti = {"vti": f"0x{octet:02x}", "vti.v": str(position), "vti.t": str(int(transient))}
            return vti | qds(quality)
        case e.BitString(value, quality):
            return bit_string(value) | qds(quality)
        case e.Normalized(value, quality):
            return {"normval": shown(value)} | qds(quality)
        case e.NormalizedOnly(value):
            return {"normval": shown(value)}
        case e.Scaled(value, quality):
            return {"scalval": str(value)} | qds(quality)
        case e.ShortFloat(value, quality):
            return {"float": shown(value)} | qds(quality)
        case e.Counter(reading, sequence, carry, adjusted, invalid):
            flags = {"cy": carry, "ca": adjusted, "iv": invalid}
            counter = {"bcr.count": str(reading), "bcr.sq": str(sequence)}
            return counter | {f"bcr.{name}": str(int(flag)) for name, flag in flags.items()}
        case c.EndOfInitialization(cause, changed):
            return {"coi": f"0x{cause | changed << 7:02x}", "coi_r": str(cause), "coi_i": str(int(changed))}
        case c.SingleCommand(on, qualifier, select):
            return command("sco", "on", int(on), qualifier, select)
        case c.DoubleCommand(value, qualifier, select):
            return command("dco", "on", value, qualifier, select)
        case c.StepCommand(value, qualifier, select):
            return command("rco", "up", value, qualifier, select)
        case c.NormalizedSetPoint(value, qualifier, select):
            return {"normval": shown(value)} | qos(qualifier, select)
        case c.ScaledSetPoint(value, qualifier, select):
            return {"scalval": str(value)} | qos(qualifier, select)
        case c.ShortFloatSetPoint(value, qualifier, select):
            return {"float": shown(value)} | qos(qualifier, select)
        case c.BitStringCommand(value):
            return bit_string(value)
        case c.Interrogation(qualifier):
            return {"qoi": str(qualifier)}
        case c.CounterInterrogation(request, freeze):
            return {"qcc": f"0x{request | freeze << 6:02x}", "rqt": str(request), "frz": str(freeze)}
        case c.ResetProcess(qualifier):
            return {"qrp": str(qualifier)}
        case c.NormalizedParameter(value, kind, changed, inactive):
            return {"normval": shown(value)} | qpm(kind, changed, inactive)
        case c.ScaledParameter(value, kind, changed, inactive):
            return {"scalval": str(value)} | qpm(kind, changed, inactive)
        case c.ShortFloatParameter(value, kind, changed, inactive):
            return {"float": shown(value)} | qpm(kind, changed, inactive)
    raise AssertionError(element)


def of_time(tag: Cp24 | Cp56 | None) -> dict[str, str]:
    if tag is None:
        return {}
    fields: dict[str, int] = {"ms": tag.milliseconds, "min": tag.minute, "iv": tag.invalid}
    if isinstance(tag, Cp24):
        return {f"cp24time.{name}": str(int(value)) for name, value in fields.items()}
    fields |= {"gen": tag.substituted, "hour": tag.hour, "su": tag.summer, "day": tag.day}
    fields |= {"dow": tag.weekday, "month": tag.month, "year": tag.year}
    return {f"cp56time.{name}": str(int(value)) for name, value in fields.items()}


# Types whose objects tshark shows as octets only. Worked out by hand from the examples: what follows the first
# address, time tags of 2024-02-29 12:34:56.789 and .793 (invalid).
CP24, CP24_INVALID = "d5 dd 22", "d9 dd a2"
CP56, CP56_INVALID = "d5 dd 22 0c 9d 02 18", "d9 dd a2 0c 9d 02 18"
OCTETS = {
    17: f"02 dc 05 {CP24} fe ff ff 89 5f ea {CP24_INVALID}",
    18: f"05 00 14 00 {CP24}",
    19: f"09 00 14 00 {CP24}",
    20: "01 80 80 01 00 fe ff ff ff 00 00 ff 81",
    38: f"02 dc 05 {CP56} fe ff ff 89 5f ea {CP56_INVALID}",
    39: f"05 00 14 00 {CP56}",
    40: f"09 00 14 00 {CP56}",
    104: "aa 55",
    106: "39 30",
    107: f"34 12 {CP56}",
    113: "01",
}
PACKED_IN_SEQUENCE = "01 80 80 01 00 ff 00 00 ff 81"


def check_head(asdu: Asdu, found: dict[str, Any]) -> None:
    number = asdu.number or len(asdu.objects)
    expected = {
        "typeid": asdu.type_id,
        "sq": asdu.sequence,
        "numix": number,
        "causetx": asdu.cause,
        "nega": asdu.negative,
        "test": asdu.test,
        "oa": asdu.originator,
        "addr": asdu.common_address,
    }
    assert {name: int(found[PREFIX + name]) for name in expected} == expected


def check_objects(asdu: Asdu, found: dict[str, Any]) -> None:
    if asdu.type_id in OCTETS:
        octets = PACKED_IN_SEQUENCE if asdu.sequence else OCTETS[asdu.type_id]
        assert int(found[f"{PREFIX}ioa"]) == asdu.objects[0].address
        assert bytes.fromhex(found[f"{PREFIX}rawdata"].replace(":", "")) == bytes.fromhex(octets)
        return
    objects = [leaves(tree) for name, tree in found.items() if name.startswith("IOA")]
    if not objects:  # a read command: tshark gives an address alone no branch of its own
        objects = [{"ioa": found[f"{PREFIX}ioa"]}]
    assert len(objects) == len(asdu.objects)
    for each, fields in zip(asdu.objects, objects, strict=True):
        expected = {"ioa": str(each.address)} | of_element(each.element) | of_time(each.time)
        assert {name: text for name, text in fields.items() if name not in ("cp24time", "cp56time")} == expected
        if isinstance(each.time, Cp56):  # the whole of it, too
            assert fields["cp56time"].startswith("Feb 29, 2024 12:34:56.7")


def test_tshark_sees_in_every_type_what_was_meant(tmp_path: Path) -> None:
    asdus = all_examples()
    swapped = [asdu for asdu in all_examples(swapped=True) if asdu.type_id not in OCTETS]
    flags = [replace(asdu, negative=True, test=True, cause=44, common_address=0xFFFF) for asdu in asdus]
    files = [
        Asdu(number, 13, 1, raw=b"\1\0\0" + bytes(12), number=1)
        for number, info in TYPES.items()
        if info.direction is Direction.FILE
    ]
    asdus = [*asdus, *swapped, *flags]
    assert {asdu.type_id for asdu in [*asdus, *files]} == set(TYPES)
    for asdu, found in zip(asdus, dissect(tmp_path / "all.pcap", asdus), strict=True):
        check_head(asdu, found)
        check_objects(asdu, found)
    for asdu, found in zip(files, dissect(tmp_path / "files.pcap", files), strict=True):
        check_head(asdu, found)
