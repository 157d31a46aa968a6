"""Every key and channel name, in one place. No other module spells one.

The model lives in keys without a hash tag. What belongs to the data path carries the hash tag ``{pN}`` of its
partition, so that one function call touches one slot only.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable
from urllib.parse import quote

PARTITIONS = 16
"""Default number of partitions; the number in force is in ``META:PARTITIONS`` and never changes silently."""


def partition_of(device_id: str, partitions: int = PARTITIONS) -> int:
    """CRC-16 (XMODEM, the one Redis Cluster uses) of the id, modulo the number of partitions."""
    return crc_hqx(device_id.encode(), 0) % partitions


# Model
VERSION = "META:VERSION"
PARTITION_COUNT = "META:PARTITIONS"
MODEL_LOG = "STREAM:MODEL"
MODEL_TURN = "META:TURN"
MODEL_PENDING = "META:PENDING"
LAYOUT = "META:LAYOUT"
MIGRATING = "META:MIGRATING"
SET_DEVICE = "SET:DEVICE"
SET_TERM = "SET:TERM"
SET_ITEM = "SET:ITEM"
SET_FORMULA = "SET:FORMULA"


def staged(commit_id: str) -> str:
    return f"STAGED:{commit_id}"


def staged_names(commit_id: str) -> str:
    return f"STAGED:{commit_id}:NAMES"


def staged_fields(commit_id: str) -> str:
    return f"STAGED:{commit_id}:FIELDS"


def hs_device(device_id: str) -> str:
    return f"HS:DEVICE:{device_id}"


def hs_term(term_id: str) -> str:
    return f"HS:TERM:{term_id}"


def set_device_term(device_id: str) -> str:
    return f"SET:DEVICE_TERM:{device_id}"


def hs_item(item_id: str) -> str:
    return f"HS:ITEM:{item_id}"


def set_term_item(term_id: str) -> str:
    return f"SET:TERM_ITEM:{term_id}"


def hs_term_item(term_id: str, item_id: str) -> str:
    return f"HS:TERM_ITEM:{term_id}:{item_id}"


def hs_formula(formula_id: str) -> str:
    return f"HS:FORMULA:{formula_id}"


def set_formula_param(ref: str) -> str:
    """``ref`` is ``device:term:item``."""
    return f"SET:FORMULA_PARAM:{ref}"


# Data, per partition
def tag(partition: int) -> str:
    return f"{{p{partition}}}"


def latest(partition: int, device_id: str) -> str:
    return f"HS:LATEST:{tag(partition)}:{device_id}"


def history(partition: int, device_id: str, field: str) -> str:
    return f"LST:DATA:{tag(partition)}:{device_id}:{field}"


def stream(partition: int) -> str:
    return f"STREAM:DATA:{tag(partition)}"


def dead_letter(partition: int, group: str) -> str:
    return f"STREAM:DEAD:{tag(partition)}:{group}"


def stream_dropped(partition: int) -> str:
    return f"HS:DROPPED:{tag(partition)}"


def stream_samples(partition: int) -> str:
    return f"COUNT:{tag(partition)}"


def plugin_place(partition: int, name: str) -> str:
    return f"HS:PLUGIN:{tag(partition)}:{name}"


def plugin_state(partition: int, name: str) -> str:
    return f"HS:PLUGIN_STATE:{tag(partition)}:{name}"


def plugin_outbox(partition: int, name: str) -> str:
    return f"HS:PLUGIN_OUT:{tag(partition)}:{name}"


def plugin_lease(partition: int, name: str) -> str:
    return f"PLUGIN_LEASE:{tag(partition)}:{name}"


def plugin_holder(partition: int, name: str) -> str:
    return f"PLUGIN_HOLDER:{tag(partition)}:{name}"


def writer(partition: int, writer_id: str) -> str:
    return f"WRITER:{tag(partition)}:{writer_id}"


def alarms(partition: int) -> str:
    return f"HS:ALARM:{tag(partition)}"


def shelved(partition: int) -> str:
    return f"ZSET:SHELVED:{tag(partition)}"


def alarm_stream(partition: int) -> str:
    return f"STREAM:ALARM:{tag(partition)}"


def alarms_lost(partition: int) -> str:
    return f"HS:ALARM_LOST:{tag(partition)}"


def lease(partition: int) -> str:
    return f"LEASE:{tag(partition)}"


def holder(partition: int) -> str:
    return f"HOLDER:{tag(partition)}"


def data_devices(partition: int) -> str:
    return f"SET:DATA_DEVICE:{tag(partition)}"


def link(partition: int) -> str:
    return f"HS:LINK:{tag(partition)}"


def status(partition: int) -> str:
    return f"HS:STATUS:{tag(partition)}"


# Managers, commands, audit
MANAGERS = "ZSET:MANAGER"
MANAGER_REPORTS = "HS:MANAGER"
SET_PLUGIN = "SET:PLUGIN"
PROBE = "META:PROBE"
AUDIT = "STREAM:AUDIT"
EVENTS = "STREAM:EVENT"


def plugin_runners(name: str) -> str:
    return f"ZSET:PLUGIN_RUNNER:{name}"


def plugin_reports(name: str) -> str:
    return f"HS:PLUGIN_RUNNER:{name}"


def plugin_reporters(name: str) -> str:
    return f"ZSET:PLUGIN_REPORT:{name}"


def command(command_id: str) -> str:
    return f"COMMAND:{command_id}"


def query(partition: int, query_id: str) -> str:
    return f"QUERY:{tag(partition)}:{query_id}"


def idempotency(user: str, key: str) -> str:
    """``user`` is the name of an access token, or empty; quoted, so that no two pairs have one name."""
    return f"IDEMPOTENCY:{quote(user, safe='')}:{key}"


# Channels
CALL = "CHANNEL:DEVICE_CALL"
CTRL = "CHANNEL:DEVICE_CTRL"
QUERY = "CHANNEL:DEVICE_QUERY"


def model_channel(event: str) -> str:
    """``event`` is ``DEVICE_ADD``, ``TERM_ITEM_DEL``, ..."""
    return f"CHANNEL:{event}"


def data_channel(point: str) -> str:
    """``point`` is ``device:term:item``, here and below."""
    return f"CHANNEL:DEVICE_DATA:{point}"


def call_result_channel(point: str) -> str:
    return f"CHANNEL:DEVICE_CALL:{point}"


def ctrl_result_channel(point: str) -> str:
    return f"CHANNEL:DEVICE_CTRL:{point}"


def warning_channel(point: str) -> str:
    return f"CHANNEL:WARNING:{point}"


def reply_channel(client_id: str) -> str:
    """Replies to one API server; the request id inside tells which request is answered."""
    return f"CHANNEL:REPLY:{client_id}"


def query_reply_channel(client_id: str) -> str:
    return f"{reply_channel(client_id)}:QUERY"


_POINT = "{d}:{t}:{i}"
_Shape = Callable[..., str]

DOCUMENTATION: dict[str, str] = {
    VERSION: "version of the model; also the id of the last entry of STREAM:MODEL",
    PARTITION_COUNT: "number of partitions, set at the first start",
    MODEL_LOG: "the last changes of the model, one entry per version",
    MODEL_TURN: "who may commit a change of the model next, after losing against others; expires",
    MODEL_PENDING: "a large change of the model that has happened and is still being written",
    staged("{id}"): "a large change in parts, the next one first; expires unless it happens",
    staged_names("{id}"): "names of the hashes that a large change touches; expires",
    staged_fields("{id}"): "what a large change keeps of hashes that it renames, while it is being written",
    LAYOUT: "version of the layout of all these keys, 1 when absent; a newer release brings older data up to it",
    MIGRATING: "the process that migrates older data now; expires",
    SET_DEVICE: "ids of all devices",
    hs_device("{id}"): "a device: field -> text",
    SET_TERM: "ids of all terms",
    hs_term("{id}"): "a term: field -> text",
    set_device_term("{device}"): "ids of the terms of a device",
    SET_ITEM: "ids of all items",
    hs_item("{id}"): "an item: field -> text",
    set_term_item("{term}"): "ids of the items of a term",
    hs_term_item("{term}", "{item}"): "a term item: field -> text",
    SET_FORMULA: "ids of all formulas",
    hs_formula("{id}"): "a formula: field -> text",
    set_formula_param("{d}:{t}:{i}"): "ids of the formulas that use a point",
    "HS:LATEST:{pN}:{d}": "latest values of a device: field t:i -> time,quality,value (value as JSON)",
    "LST:DATA:{pN}:{d}:{t}:{i}": "recent samples of a point, oldest first: time,quality,value",
    "STREAM:DATA:{pN}": "the data stream of a partition: b = batch (msgpack), n = number of samples",
    "COUNT:{pN}": "samples ever put into the data stream of a partition",
    "STREAM:DEAD:{pN}:{plugin}": "samples a plugin could not handle, with the error",
    "HS:DROPPED:{pN}": "plugin -> samples trimmed before it handled them",
    "HS:PLUGIN:{pN}:{plugin}": "how far a plugin is, beside the place of its consumer group, and what it counted",
    "HS:PLUGIN_STATE:{pN}:{plugin}": "what a plugin remembers of a partition: key -> bytes of its own",
    "HS:PLUGIN_OUT:{pN}:{plugin}": "samples a plugin derived that are on their way into the stream",
    "PLUGIN_LEASE:{pN}:{plugin}": "the runner that has the partition; expires",
    "PLUGIN_HOLDER:{pN}:{plugin}": "the runner that had the partition last; empty when it gave it back",
    SET_PLUGIN: "plugins that were ever run",
    plugin_runners("{plugin}"): "runners of a plugin that share its work, with their time of expiry",
    plugin_reporters("{plugin}"): "runners of a plugin that are alive, with their time of expiry",
    plugin_reports("{plugin}"): "runner -> what it says about itself (JSON)",
    "HS:ALARM:{pN}": "alarms that are not normal: d:t:i:kind -> state, condition, who acknowledged it (msgpack)",
    "ZSET:SHELVED:{pN}": "alarms that are shelved, by the time when that ends (milliseconds)",
    "STREAM:ALARM:{pN}": "transitions of alarms, the last ones: t = transition (msgpack)",
    "HS:ALARM_LOST:{pN}": "plugin -> transitions of alarms that were forgotten before it had read them",
    "HS:LINK:{pN}": "device -> link state (JSON: state, since, last_error)",
    "HS:STATUS:{pN}": "device -> counters and protocol details (JSON)",
    "SET:DATA_DEVICE:{pN}": "devices that have data in the partition",
    "LEASE:{pN}": "the manager that owns the partition; expires",
    "HOLDER:{pN}": "the manager that owned the partition last; empty when it gave it back",
    "WRITER:{pN}:{writer}": "sequence number of the last batch of a writer; a repeated batch is ignored",
    MANAGERS: "managers that are alive, with their time of expiry",
    MANAGER_REPORTS: "manager -> what it says about itself (JSON)",
    PROBE: "written to see whether the store takes writes; expires",
    AUDIT: "the audit trail: who changed or controlled what, before, after, result (entry = JSON)",
    EVENTS: "what happened to links, managers, plugins and the store, the last events (event = JSON)",
    command("{id}"): "a command that was taken, then its result; expires",
    "QUERY:{pN}:{id}": "an interrogation or a selection that no manager has taken yet; expires, and is not begun "
    "then",
    "IDEMPOTENCY:{user}:{key}": "Idempotency-Key of a control request -> its answer; expires",
    CALL: "channel: requests to read now",
    CTRL: "channel: requests to write",
    QUERY: "channel: questions to the manager of a device (its frames, a probe, an interrogation, a selection)",
    call_result_channel(_POINT): "channel: result of a call",
    ctrl_result_channel(_POINT): "channel: result of a control",
    data_channel(_POINT): "channel: every new sample, when somebody listens",
    warning_channel(_POINT): "channel: alarm transitions",
    reply_channel("{client}"): "channel: replies to one API server",
    query_reply_channel("{client}"): "channel: answers to the questions of one API server",
    **{
        model_channel(f"{kind}_{event}"): f"channel: {text} (JSON: ids, version)"
        for kind, events in {
            "DEVICE": ("ADD", "FRESH", "DEL"),
            "TERM": ("ADD", "FRESH", "DEL"),
            "ITEM": ("FRESH", "DEL"),
            "TERM_ITEM": ("ADD", "DEL"),
            "FORMULA": ("ADD", "FRESH", "DEL"),
        }.items()
        for event in events
        for text in [
            f"{kind.lower().replace('_', ' ')} "
            + {"ADD": "created or replaced", "FRESH": "changed", "DEL": "deleted"}[event]
        ]
    },
}
"""Key or channel -> meaning, as ``GET /api/v1/redis_key`` shows it."""
