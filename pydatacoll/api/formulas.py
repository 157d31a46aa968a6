"""``/api/v1/formulas``, and the check of expressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from pydatacoll.api import responses
from pydatacoll.api.operation import Answer, Body, Call, Operation
from pydatacoll.api.resource import Resource
from pydatacoll.errors import FieldError, Invalid
from pydatacoll.model.fields import PARAM, message_of
from pydatacoll.model.objects import PointRef
from pydatacoll.model.registry import ModelView

FORMULAS = Resource(
    kind="formula", component="Formula", collection="/api/v1/formulas", names=("formula_id",), refers=True
)


async def formula_check(call: Call) -> web.StreamResponse:
    """``OK``, or the first thing that is wrong: with the text, where, or with a parameter, which one."""
    text = call.body.get("formula")
    if not isinstance(text, str):
        raise Invalid.of([FieldError(0, "formula", "must be a text")])
    params = {name: ref for name, ref in call.body.items() if PARAM.match(name) and ref is not None}
    problem = call.services.schemas.formula_problem(text, params) or _param_problem(call.model, params)
    return responses.raw((problem or "OK").encode(), headers=responses.TEXT)


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
        "than text and parameters; the result, and whether formulas make a circle, is looked at when it is saved.",
        body=Body({"type": "object", "properties": {"formula": {"type": "string"}}, "required": ["formula"]}),
        answers=_OK,
        scope="read",
        errors=(503,),
    ),
]
