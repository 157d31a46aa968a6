"""What an operator should look after."""

from __future__ import annotations

from aiohttp import web

from pydatacoll.api import responses
from pydatacoll.api.operation import Answer, Call, Operation, ref


async def diagnosis(call: Call) -> web.StreamResponse:
    """All checks."""
    found = await call.services.diagnosis(lambda: call.model)
    if call.identity.devices:  # names of others' tokens, paths of the machine
        found = [check for check in found if check.check not in _OF_THE_HOUSE]
    return responses.of({"checks": [{name: getattr(check, name) for name in _FIELDS} for check in found]})


_OF_THE_HOUSE = frozenset({"settings", "rights", "disk", "certificate"})
_FIELDS = ("check", "status", "detail", "remedy")

OPERATIONS = [
    Operation(
        id="get_diagnosis",
        method="GET",
        path="/api/v2/diagnosis",
        handler=diagnosis,
        summary="What works, what is wrong, and what to do about it",
        description=(
            "Store, managers, devices, clocks, disk, rights of files, plugins, tokens and certificate. It answers "
            "also while the store is away. Devices are those that the token is for; a "
            "token that is limited to some sees nothing of files, settings and certificate."
        ),
        tag="system",
        answers={200: Answer("the checks", ref("Diagnosis"))},
    )
]
