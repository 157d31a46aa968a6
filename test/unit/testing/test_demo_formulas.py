"""The formulas of the demo plant are accepted as they are, and use what is there."""

from __future__ import annotations

from pydatacoll.expression import formula_problem
from pydatacoll.model.change import PLURAL, apply
from pydatacoll.model.registry import Registry
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import KINDS, Schemas
from pydatacoll.protocols.formula import FormulaDriver
from pydatacoll.protocols.iec104 import Iec104Driver
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from pydatacoll.testing.demo import DEMO_MODEL
from pydatacoll.testing.demo_formulas import FORMULA_MODEL


def test_the_model_is_accepted() -> None:
    drivers = {driver.name: driver for driver in (FormulaDriver, Iec104Driver, ModbusTcpDriver)}
    registry = Registry()
    transaction = Transaction(registry, Schemas(drivers, formula_problem=formula_problem))
    for kind in KINDS:
        transaction.batch_upsert(kind, DEMO_MODEL[PLURAL[kind]])
    apply(registry, transaction.changes)
    assert len(registry.formulas) == len(FORMULA_MODEL["formulas"]) == len(FORMULA_MODEL["term_items"])
