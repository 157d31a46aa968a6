"""``/api/v1/formulas``, and the checks of expressions and statements that plugins provide."""

from __future__ import annotations

from aiohttp import web

from pydatacoll.api.operation import Answer, Body, Call, Operation, ref
from pydatacoll.api.problems import ApiProblem
from pydatacoll.api.resource import Resource

FORMULAS = Resource(
    kind="formula", component="Formula", collection="/api/v1/formulas", names=("formula_id",), refers=True
)


async def formula_check(call: Call) -> web.StreamResponse:
    """Answered by the formula plugin."""
    raise ApiProblem("plugin-not-enabled", "plugin not enabled: formula checks formulas")


async def sql_check(call: Call) -> web.StreamResponse:
    """Answered by the archive plugin."""
    raise ApiProblem("plugin-not-enabled", "plugin not enabled: db_saver checks statements")


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
        body=Body({"type": "object", "properties": {"formula": {"type": "string"}}, "required": ["formula"]}),
        answers=_OK,
        scope="read",
        errors=(503,),
    ),
    Operation(
        id="sql_check",
        method="POST",
        path="/api/v1/sql_check",
        handler=sql_check,
        summary="Prepare, but never execute, the statements of a term item",
        tag="term_items",
        body=Body(ref("TermItemInput")),
        answers=_OK,
        scope="read",
        errors=(503,),
    ),
]
