"""The OpenAPI 3.1 document, generated from the declared operations and from the types of the installed drivers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from pydatacoll import __version__
from pydatacoll.api.operation import Answer, Operation, Schema, ref
from pydatacoll.api.problems import KINDS
from pydatacoll.api.resource import ID
from pydatacoll.api.views import COMPONENTS, LinkView
from pydatacoll.model import Device, Formula, Item, ModelObject, Term, TermItem
from pydatacoll.model.validation import Schemas

_REFERENCE: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"{(\w+)}")
_PATH_DESCRIPTIONS: Final = {
    "index": "place in the list: 0 the oldest, -1 the newest",
    "alarm_id": "device:term:item:kind",
}
_PATH_SCHEMAS: Final[Mapping[str, Schema]] = {
    "index": {"type": "integer"},
    "alarm_id": {"type": "string", "pattern": "^([A-Za-z0-9_.\\-]{1,64}:){3}[a-z_]{1,16}$"},
}
_PARAM_PATTERN: Final = "^p[0-9]{1,3}$"
_DESCRIPTION: Final = """\
Data collection over Modbus TCP, IEC 60870-5-104 and other protocols. Every failure is
`application/problem+json` (RFC 9457). Numeric and boolean fields of model objects also accept their text form,
ids also accept numbers. GET also means HEAD; OPTIONS answers 204 with `Allow`. Unknown query parameters and
unknown fields are refused with 422. When access tokens are configured, operations need one of the scope named
(`read`, `operate`, `admin`; each includes those before it); a token may be limited to some devices and then
sees no others."""
_TAGS: Final = {
    "devices": "things with an address: RTUs, PLCs, gateways, meters",
    "terms": "terminal units behind a device",
    "items": "kinds of quantities",
    "term_items": "points: an item of a term",
    "formulas": "derived values",
    "values": "latest values and recent samples",
    "commands": "reading and writing devices now",
    "batches": "many objects, all or nothing",
    "transfer": "the whole model as a document, and back; copies of devices",
    "alarms": "values beyond their limits, and what is done about it",
    "live": "what changes, as it happens",
    "audit": "who changed or controlled what",
    "system": "the service itself",
}


class Document:
    """Collects the schema components, then the paths."""

    def __init__(self, schemas: Schemas) -> None:
        self.components: dict[str, Any] = {}
        self._add_types(COMPONENTS)
        self.components["Id"] = ID
        self._add_model(schemas)

    def _add_types(self, types: Sequence[type[msgspec.Struct]]) -> list[dict[str, Any]]:
        found, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
        self.components.update(components)
        return list(found)

    def _struct(self, object_type: type[msgspec.Struct], name: str) -> dict[str, Any]:
        """The schema of a driver's struct; structs inside it become components of their own."""
        _, components = msgspec.json.schema_components(
            (object_type,), ref_template=_REFERENCE.replace("{name}", f"{name}.{{name}}")
        )
        own: dict[str, Any] = components.pop(object_type.__name__)
        self.components.update({f"{name}.{inner}": schema for inner, schema in components.items()})
        own["title"] = name
        return own

    def _add_model(self, schemas: Schemas) -> None:
        drivers = schemas.protocols
        families: tuple[tuple[str, type[ModelObject], Callable[[str], type[ModelObject]]], ...] = (
            ("Device", Device, lambda name: drivers[name].device_type),
            ("Term", Term, lambda name: drivers[name].term_type),
            ("TermItem", TermItem, lambda name: drivers[name].term_item_type),
        )
        for family, base, type_of in families:
            self._add_family(family, base, {name: type_of(name) for name in sorted(drivers)})
        self._input_and_view("Item", self._struct(Item, "Item"))
        formula = self._struct(Formula, "Formula")
        del formula["properties"]["params"]
        formula["patternProperties"] = {_PARAM_PATTERN: {"type": "string", "examples": ["feeder1:main:ua"]}}
        self._input_and_view("Formula", formula)

    def _add_family(self, family: str, base: type[ModelObject], types: Mapping[str, type[ModelObject]]) -> None:
        """A kind that protocols extend. Devices name their protocol, so that exactly one alternative fits; terms
        and term items take it from their device, so that more than one may."""
        keyword = "oneOf" if family == "Device" else "anyOf"
        names: dict[str, str] = {}
        for protocol, object_type in types.items():
            if family != "Device" and object_type is base:
                continue
            names[protocol] = f"{family}_{protocol}"
            schema = self._struct(object_type, names[protocol])
            if family == "Device":
                schema["properties"]["protocol"] = {"const": protocol}
            self._input_and_view(names[protocol], schema, live=family == "Device")
        self._input_and_view(family, self._struct(base, family), live=family == "Device")
        if family == "Device":
            # A device whose driver is gone is still shown, with the common fields.
            generic = self.components.pop("Device")
            generic["properties"]["protocol"] = {"type": "string", "not": {"enum": sorted(types)}}
            self.components["Device_other"] = generic
            del self.components["DeviceInput"]
            views = [*names.values(), "Device_other"]
            mapping = {protocol: f"#/components/schemas/{name}Input" for protocol, name in names.items()}
            self.components["DeviceInput"] = {
                "oneOf": [ref(f"{name}Input") for name in names.values()],
                "discriminator": {"propertyName": "protocol", "mapping": mapping},
            }
            self.components["Device"] = {"oneOf": [ref(name) for name in views]}
        elif names:
            for suffix in ("", "Input"):
                self.components[f"{family}_common{suffix}"] = self.components[f"{family}{suffix}"]
                alternatives = [*names.values(), f"{family}_common"]
                self.components[f"{family}{suffix}"] = {keyword: [ref(f"{name}{suffix}") for name in alternatives]}

    def _input_and_view(self, name: str, schema: dict[str, Any], *, live: bool = False) -> None:
        """What a client sends, and what it gets: unset fields are left out, read-only ones added."""
        properties = dict(schema["properties"])
        self.components[f"{name}Input"] = {**schema, "title": f"{name}Input"}
        if live:
            properties["status"] = {"enum": ["on", "off"], "readOnly": True}
            properties["link"] = {**ref(LinkView.__name__), "readOnly": True}
        required = [*schema.get("required", []), *(["status", "link"] if live else [])]
        self.components[name] = {**schema, "properties": properties, "required": required}

    def operation(self, operation: Operation) -> dict[str, Any]:
        """One operation object."""
        parameters: list[dict[str, Any]] = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": _PATH_DESCRIPTIONS.get(name, name.replace("_", " ")),
                "schema": _PATH_SCHEMAS.get(name, ref("Id")),
            }
            for name in _PARAMETER.findall(operation.path)
        ]
        parameters += [
            {"name": query.name, "in": "query", "description": query.description, "schema": query.schema}
            for query in operation.query
        ]
        parameters += [
            {"name": name, "in": "header", "description": text, "schema": {"type": "string", "maxLength": 200}}
            for name, text in operation.headers.items()
        ]
        document: dict[str, Any] = {
            "operationId": operation.id,
            "summary": operation.summary,
            "tags": [operation.tag],
            "responses": {str(status): _answer(answer) for status, answer in operation.answers.items()},
            "security": [] if operation.needs == "open" else [{"token": [operation.needs]}],
        }
        if operation.description:
            document["description"] = operation.description
        if parameters:
            document["parameters"] = parameters
        if operation.body is not None:
            document["requestBody"] = {
                "required": True,
                "content": {
                    media: {"schema": operation.body.schemas.get(media, operation.body.schema)}
                    for media in operation.body.media_types
                },
            }
        for status in operation.statuses:
            document["responses"][str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
        document["responses"]["default"] = {"$ref": "#/components/responses/Problem"}
        return document


def _ecma(schema: Any) -> Any:
    """Python's end of text in patterns as that of ECMA 262, which JSON schema uses."""
    if isinstance(schema, dict):
        return {
            name: value.replace("\\Z", "$") if name == "pattern" and isinstance(value, str) else _ecma(value)
            for name, value in schema.items()
        }
    return [_ecma(part) for part in schema] if isinstance(schema, list) else schema


def _answer(answer: Answer) -> dict[str, Any]:
    document: dict[str, Any] = {"description": answer.description}
    if answer.schema is not None:
        content: dict[str, Schema] = {answer.media_type: answer.schema, **answer.also}
        document["content"] = {media: {"schema": schema} for media, schema in content.items()}
    if answer.headers:
        document["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    return document


def _problem_responses(statuses: set[int]) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": ref("Problem")}}
    responses: dict[str, Any] = {"Problem": {"description": "Any other failure.", "content": content}}
    for status in sorted(statuses):
        meanings = [f"{kind.title}: {kind.meaning}" for kind in KINDS.values() if kind.status == status]
        responses[f"Problem{status}"] = {"description": " ".join(meanings), "content": content}
    return responses


def build(operations: Sequence[Operation], schemas: Schemas) -> dict[str, Any]:
    """The whole document, as JSON types."""
    document = Document(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = document.operation(operation)
    statuses = {status for operation in operations for status in operation.statuses}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PyDataColl",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _ecma(document.components),
            "responses": _problem_responses(statuses),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "an access token, see [[auth.tokens]]",
                }
            },
        },
    }
