"""``/api/v1/formulas``, and the check of expressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from pydatacoll.api import responses
from pydatacoll.api.operation import Answer, Body, Call, Operation
from pydatacoll.api.resource import ID, Resource
from pydatacoll.errors import FieldError, Invalid
from pydatacoll.model.fields import PARAM, id_from_json, message_of
from pydatacoll.model.formulas import formula_faults
from pydatacoll.model.objects import Formula, Id, PointRef
from pydatacoll.model.registry import ModelView
from pydatacoll.store.pace import Pace

FORMULAS = Resource(
    kind="formula", component="Formula", collection="/api/v1/formulas", names=("formula_id",), refers=True
)


async def formula_check(call: Call) -> web.StreamResponse:
    """``OK``, or the first thing that is wrong: with the text, where, with a parameter, which one, or with the
    result."""
    text = call.body.get("formula")
    if not isinstance(text, str):
        raise Invalid.of([FieldError(0, "formula", "must be a text")])
    params = {name: ref for name, ref in call.body.items() if PARAM.match(name) and ref is not None}
    target = _target(call.body)
    problem = call.services.schemas.formula_problem(text, params) or _param_problem(call.model, params)
    if problem is None and target is not None:
        problem = await _result_problem(call, Formula(formula=text, params=params, **target))
    return responses.raw((problem or "OK").encode(), headers=responses.TEXT)


def _target(body: Mapping[str, Any]) -> dict[str, str] | None:
    """``id`` and the fields of the result, when there are any."""
    given = [name for name in _TARGET if body.get(name) is not None]
    if not given:
        return None
    fields: dict[str, str] = {"id": ""}
    errors: list[FieldError] = []
    for name in (*_TARGET, *(["id"] if body.get("id") is not None else [])):
        try:
            fields[name] = msgspec.convert(id_from_json(body.get(name)), Id)
        except msgspec.ValidationError as error:
            missing = body.get(name) is None
            message = f"belongs to {', '.join(given)}" if missing else message_of(error, Id)
            errors.append(FieldError(0, name, message))
    if errors:
        raise Invalid.of(errors)
    return fields


async def _result_problem(call: Call, formula: Formula) -> str | None:
    """What saving would say of the result. A formula that has it already is the one that is meant."""
    model, point = call.model, formula.target
    term = model.terms.get(point.term_id)
    if term is None or term.device_id != point.device_id or point[1:] not in model.term_items:
        return f"item_id: term_item not found! {point}"
    if formula.id in call.everything.formulas and formula.id not in model.formulas:
        return f"id: formula_id not found! {formula.id}"
    if not formula.id:
        own = [key for key in model.formulas_with(point) if model.formulas[key].target == point]
        formula = msgspec.structs.replace(formula, id=own[0] if own else "")
    faults = await Pace().run(formula_faults(call.everything, call.services.schemas, formula, call.identity.sees))
    return f"{faults[0].field}: {faults[0].message}" if faults else None


def _param_problem(model: ModelView, params: Mapping[str, Any]) -> str | None:
    for name, ref in params.items():
        try:
            device_id, term_id, item_id = msgspec.convert(ref, PointRef).split(":")
        except msgspec.ValidationError as error:
            return f"{name}: {message_of(error, PointRef)}"
        term = model.terms.get(term_id)
        if term is None or term.device_id != device_id or (term_id, item_id) not in model.term_items:
            return f"{name}: term_item not found! {ref}"
    return None


_TARGET: Final = ("device_id", "term_id", "item_id")
_OK = {200: Answer("OK, or what is wrong and where", {"type": "string"}, "text/plain")}

OPERATIONS = [
    *FORMULAS.operations(),
    Operation(
        id="formula_check",
        method="POST",
        path="/api/v1/formula_check",
        handler=formula_check,
        summary="Check a formula without saving it",
        tag="formulas",
        description="The answer is OK, or says line and column, or the parameter. It needs no more of a formula "
        "than text and parameters. With device_id, term_id and item_id of the result it also says what saving "
        "would: that formulas would make a circle, that the point is the result of another formula, or that it is "
        "of no virtual device. With id, or when a formula has that result, that formula is the one changed.",
        body=Body(
            {
                "type": "object",
                "properties": {"formula": {"type": "string"}} | dict.fromkeys(("id", *_TARGET), ID),
                "required": ["formula"],
            }
        ),
        answers=_OK,
        scope="read",
        errors=(503,),
    ),
]
