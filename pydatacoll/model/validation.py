"""From decoded JSON to model objects and back. A bad object is refused with every bad field named."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Mapping
from difflib import get_close_matches
from itertools import pairwise
from math import isfinite
from typing import Any, Literal, Protocol

import msgspec

from pydatacoll.errors import FieldError, Invalid
from pydatacoll.model.fields import PARAM, convert_each, fields_of, message_of, normalize
from pydatacoll.model.network import ANYWHERE, Networks, host_problem
from pydatacoll.model.objects import Device, Formula, Item, ModelObject, PointRef, Term, TermItem

__all__ = ["KINDS", "Kind", "ProtocolSchema", "Schemas", "to_wire"]

Kind = Literal["device", "term", "item", "term_item", "formula"]
KINDS: tuple[Kind, ...] = ("device", "item", "term", "term_item", "formula")
"""All kinds; a kind depends only on those before it."""

READ_ONLY = {"device": frozenset({"status", "link"})}
"""Part of a representation but not of the object: ignored on input, so that what was read can be put back."""

MOST_MEMBERS = 2_000
"""Members of an object in JSON: far more than any type has, and few enough to tell what is wrong with each."""

log = logging.getLogger(__name__)


class ProtocolSchema(Protocol):
    """What the model needs to know of a driver class; see :class:`pydatacoll.sdk.DeviceDriver`."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def device_type(self) -> type[Device]: ...
    @property
    def term_type(self) -> type[Term]: ...
    @property
    def term_item_type(self) -> type[TermItem]: ...
    @property
    def virtual(self) -> bool: ...
    @property
    def command_modes(self) -> frozenset[str]: ...
    @property
    def groups(self) -> Mapping[int, str]: ...

    def check_device(self, device: Any) -> list[tuple[str, str]]: ...
    def hosts(self, device: Any) -> list[tuple[str, str]]: ...
    def check(self, device: Device, term: Term, item: TermItem) -> list[tuple[str, str]]: ...
    def address(self, device: Device, term: Term, item: TermItem) -> Hashable | None: ...
    def check_value(self, device: Device, term: Term, item: TermItem, value: Any) -> Any: ...
    def check_select(self, device: Device, term: Term, item: TermItem) -> None: ...


class Schemas:
    """The types of all objects, as the installed protocols define them.

    :ivar protocols: name -> driver class.
    :ivar networks: those that devices may be in; a virtual device is nowhere.
    :ivar rule_problem: what is wrong with a rule (``do_verify``), ``None`` when it is fine. Given from outside,
        because the language of rules builds on the model.
    :ivar formula_problem: the same of a formula, with the names of its parameters.
    :ivar statement_problem: the same of a user's statement: the field, and what stands there.
    """

    def __init__(
        self,
        protocols: Mapping[str, ProtocolSchema],
        networks: Networks = ANYWHERE,
        *,
        rule_problem: Callable[[str], str | None] = lambda _: None,
        formula_problem: Callable[[str, Collection[str]], str | None] = lambda _, __: None,
        statement_problem: Callable[[str, str], str | None] = lambda _, __: None,
    ) -> None:
        self.protocols = dict(protocols)
        self.networks = networks
        self.rule_problem = rule_problem
        self.formula_problem = formula_problem
        self.statement_problem = statement_problem

    def types_for(self, kind: Kind, protocol: str | None = None) -> type[ModelObject]:
        """The type of a kind under a device's protocol; the common one when the driver is not installed."""
        if kind == "item":
            return Item
        if kind == "formula":
            return Formula
        driver = self.protocols.get(protocol) if protocol is not None else None
        if kind == "device":
            return driver.device_type if driver is not None else Device
        if kind == "term":
            return driver.term_type if driver is not None else Term
        return driver.term_item_type if driver is not None else TermItem

    def parse(  # noqa: PLR0912 - one branch for each thing that can be wrong
        self,
        kind: Kind,
        payload: object,
        protocol: str | None = None,
        *,
        index: int = 0,
        keep: str | None = None,
        unsure: bool = False,
    ) -> ModelObject:
        """Decoded JSON -> object.

        :param protocol: of the device that a term or term item belongs to.
        :param index: place in a batch, for the error messages.
        :param keep: a protocol that is accepted although its driver is not installed: a stored device's own.
        :param unsure: the protocol could not be found out, so unknown fields are not reported.
        :raises Invalid: with every bad field.
        """
        if not isinstance(payload, Mapping):
            raise Invalid.of([FieldError(index, kind, f"expected an object, got {_json_name(payload)}")])
        if len(payload) > MOST_MEMBERS:
            raise Invalid.of([FieldError(index, kind, f"has more than {MOST_MEMBERS} members")])
        errors: list[FieldError] = []
        if kind == "device":
            name, _ = normalize(fields_of(Device)["protocol"], payload.get("protocol"))
            protocol = name if isinstance(name, str) else None
            if protocol is not None and protocol not in self.protocols and protocol != keep:
                known = ", ".join(sorted(self.protocols)) or "none"
                errors.append(FieldError(index, "protocol", f"unknown protocol {protocol!r:.80}; known: {known}"))
            unsure = bool(errors) or protocol is None
        object_type = self.types_for(kind, protocol)
        clean = _clean(object_type, kind, payload, index, errors, unsure=unsure)
        if not errors:
            try:
                made = msgspec.convert(clean, object_type, strict=False)
            except msgspec.ValidationError as error:
                errors = convert_each(object_type, clean, index)
                if not errors:  # a rule of the type as a whole, not of one field
                    errors = [FieldError(index, kind, message_of(error))]
            else:
                errors = _broken_rules(made, clean, index)
                if isinstance(made, Device):
                    errors += self._device_errors(made, index)
                else:
                    errors += self._text_errors(made, index)
                if not errors:
                    return made
        else:
            errors += [
                e for e in convert_each(object_type, clean, index) if all(e.field != x.field for x in errors)
            ]
        ip = clean.get("ip") if kind == "device" else None
        if isinstance(ip, str) and all(e.field != "ip" for e in errors):
            errors += self._place_errors(ip, protocol, index)
        raise Invalid.of(errors)

    def _text_errors(self, made: ModelObject, index: int) -> list[FieldError]:
        """What is wrong with the rule of a term item, or the text of a formula."""
        field, problem = "formula", None
        if isinstance(made, Formula):
            problem = self.formula_problem(made.formula, made.params)
        elif isinstance(made, TermItem) and made.do_verify is not None:
            field, problem = "do_verify", self.rule_problem(made.do_verify)
        errors = [] if problem is None else [FieldError(index, field, problem)]
        if isinstance(made, TermItem):
            for field in ("db_save_sql", "db_warn_sql"):
                text = getattr(made, field)
                if text is not None and (problem := self.statement_problem(field, text)) is not None:
                    errors.append(FieldError(index, field, problem))
        return errors

    def _device_errors(self, device: Device, index: int) -> list[FieldError]:
        """What the driver finds wrong with a device, and what is wrong with the places it would connect to."""
        driver = self.protocols.get(device.protocol)
        if driver is None:
            return self._place_errors(device.ip, device.protocol, index)
        errors = [FieldError(index, field, message) for field, message in driver.check_device(device)]
        for field, host in [] if errors else driver.hosts(device):
            errors += [FieldError(index, field, e.message) for e in self._place_errors(host, driver.name, index)]
        return errors

    def _place_errors(self, ip: str, protocol: str | None, index: int) -> list[FieldError]:
        """What is wrong with the address of a device; a virtual one is in no network."""
        driver = self.protocols.get(protocol) if protocol is not None else None
        virtual = driver is not None and driver.virtual
        problem = host_problem(ip) if virtual else self.networks.problem(ip)
        return [] if problem is None else [FieldError(index, "ip", problem)]

    def check(self, device: Device, term: Term, item: TermItem, index: int = 0) -> list[FieldError]:
        """What the driver finds wrong with a term item."""
        driver = self.protocols.get(device.protocol)
        if driver is None:
            return []
        try:
            found = driver.check(device, term, item)
        except Invalid as error:
            return [FieldError(index, e.field, e.message) for e in error.errors] or [
                FieldError(index, "protocol_code", str(error))
            ]
        return [FieldError(index, field, message) for field, message in found]

    def address(self, device: Device, term: Term, item: TermItem) -> Hashable | None:
        """What must be unique among the points of a device, ``None`` for a point without an address."""
        driver = self.protocols.get(device.protocol)
        if driver is None:
            return None
        try:
            return driver.address(device, term, item)
        except Exception as error:  # noqa: BLE001 - a stored point that its driver dislikes must not stop the model
            log.warning("%s: no address for %s:%s:%s: %s", driver.name, device.id, term.id, item.item_id, error)
            return None


def _json_name(value: object) -> str:
    names = {
        type(None): "null",
        bool: "a boolean",
        str: "a string",
        list: "a list",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), type(value).__name__)


def _clean(
    object_type: type[ModelObject],
    kind: Kind,
    payload: Mapping[Any, Any],
    index: int,
    errors: list[FieldError],
    *,
    unsure: bool,
) -> dict[str, Any]:
    """Known fields only, nulls dropped, numbers as text where text is meant; what is wrong goes to ``errors``.

    :param unsure: the protocol is not known, so neither are its fields: unknown ones are not reported.
    """
    fields = fields_of(object_type)
    ignored = READ_ONLY.get(kind, frozenset())
    clean: dict[str, Any] = {}
    params: dict[str, Any] = {}
    for name, value in payload.items():
        field = fields.get(name)
        if field is not None:
            if value is None:
                continue
            clean[name], problem = normalize(field, value)
            if problem is not None:
                del clean[name]
                errors.append(FieldError(index, name, problem))
        elif kind == "formula" and isinstance(name, str) and PARAM.match(name):
            if value is not None:
                params[name] = value
        elif name not in ignored and not unsure:
            errors.append(FieldError(index, *_unknown(name, fields)))
    if kind == "formula":
        for name, value in params.items():
            try:
                msgspec.convert(value, PointRef)
            except msgspec.ValidationError as error:
                errors.append(FieldError(index, name, message_of(error, PointRef)))
        clean["params"] = dict(sorted(params.items(), key=lambda pair: (len(pair[0]), pair[0])))
    return clean


def _unknown(name: object, fields: Mapping[str, Any]) -> tuple[str, str]:
    text = ascii(name).strip("'")[:80]
    near = get_close_matches(text, fields, n=1)
    return text, "unknown field" + (f"; did you mean {near[0]!r}?" if near else "")


def _broken_rules(made: ModelObject, given: Mapping[str, Any], index: int) -> list[FieldError]:
    """Rules between fields, and what text can smuggle in (``"NaN"``)."""
    fields = fields_of(type(made))
    errors = []
    for name, raw in given.items():
        if type(raw) is str and name in fields and fields[name].floating:
            value = getattr(made, name)
            if isinstance(value, float) and not isfinite(value):
                errors.append(FieldError(index, name, "must be finite, not NaN or infinity"))
    if isinstance(made, TermItem) and not errors:
        if made.coefficient == 0:
            errors.append(FieldError(index, "coefficient", "must not be 0"))
        errors += [FieldError(index, field, message) for field, message in _limit_problems(made)]
        period, silence = made.min_period, made.max_silence
        if period is not None and silence is not None and silence < period:
            errors.append(FieldError(index, "max_silence", f"must not be below min_period ({period:g})"))
    return errors


_LIMITS = ("low_low", "down_limit", "up_limit", "high_high")
"""Fields with the limits of a point, from the lowest to the highest."""


def _limit_problems(item: TermItem) -> list[tuple[str, str]]:
    """``(field, message)`` of limits that are out of order, and of a hysteresis out of which no value comes."""
    limits = [(name, limit) for name in _LIMITS if (limit := getattr(item, name)) is not None]
    found = [
        (lower, f"must not be above {upper} ({high:g})")
        for (lower, low), (upper, high) in pairwise(limits)
        if low > high
    ]
    low, high = item.down_limit, item.up_limit
    if not found and item.hysteresis and low is not None and high is not None and item.hysteresis > high - low:
        found.append(("hysteresis", f"must not be more than up_limit less down_limit ({high - low:g})"))
    return found


def to_wire(made: ModelObject) -> dict[str, Any]:
    """The flat representation, JSON types only; unset fields are left out, a formula's parameters are fields."""
    wire: dict[str, Any] = {}
    for name in made.__struct_fields__:
        value = getattr(made, name)
        if value is None or name == "params":
            continue
        wire[name] = value if type(value) in _PLAIN else msgspec.to_builtins(value)
    if isinstance(made, Formula):
        wire.update(made.params)
    return wire


_PLAIN = frozenset({str, int, float, bool})
