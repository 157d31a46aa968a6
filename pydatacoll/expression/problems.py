"""What is wrong with an expression that is to be stored: also what its text alone shows to have no result, ever.

One that is stored already runs nevertheless; its result is invalid where that matters.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping

from pydatacoll.expression.errors import ExpressionError
from pydatacoll.expression.expression import ITEM_ALIASES, ITEM_NAMES, Expression, compile_expression
from pydatacoll.expression.functions import CONSTANTS, FUNCTIONS
from pydatacoll.expression.source import Source
from pydatacoll.expression.translate import Translator

_DIVISIONS = (ast.Div, ast.FloorDiv, ast.Mod)


def rule_problem(text: str) -> str | None:
    """What is wrong with the rule of an item, with the place and the remedy; ``None`` when it is fine."""
    return _problem(text, ITEM_NAMES, ITEM_ALIASES)


def formula_problem(text: str, names: Collection[str]) -> str | None:
    """The same of a formula, which has such parameters."""
    return _problem(text, names, {})


def _problem(text: str, names: Collection[str], aliases: Mapping[str, str]) -> str | None:
    try:
        compile_expression(text, names, aliases)
        _Constants(Source(text), {*names, *aliases}).check()
    except ExpressionError as error:
        return str(error)
    return None


class _Constants:
    """Parts of an expression of the language that are the same whatever its inputs are."""

    def __init__(self, source: Source, names: Collection[str]) -> None:
        self._source = source
        self._names = names
        self._constant: dict[ast.AST, bool] = {}

    def check(self) -> None:
        """
        :raises ExpressionError: one of them has no result, or is zero and something is divided by it.
        """
        tree = self._source.parse()
        for node in reversed(list(ast.walk(tree))):  # parts before what they are part of
            self._constant[node] = self._is_constant(node)
        waiting: list[ast.AST] = [tree]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.expr) and self._constant[node]:
                self._value(node)
                continue
            if (
                isinstance(node, ast.BinOp)
                and isinstance(node.op, _DIVISIONS)
                and self._constant[node.right]
                and self._value(node.right) == 0
            ):
                raise self._source.error_at("a division by zero has no result", node.right)
            parts = node.args if isinstance(node, ast.Call) else list(ast.iter_child_nodes(node))
            waiting += reversed(parts)

    def _is_constant(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Name):
            return node.id not in self._names and (node.id in CONSTANTS or node.id in FUNCTIONS)
        if isinstance(node, ast.Call) and not isinstance(node.func, ast.Name):
            return False
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            return False
        return all(self._constant[part] for part in ast.iter_child_nodes(node))

    def _value(self, node: ast.expr) -> object:
        if isinstance(node, ast.Constant):
            return node.value
        translator = Translator(self._source, (), {})
        outcome = Expression("", translator.translate(node), translator).evaluate({}, 0.0)
        if outcome.error is not None:
            raise self._source.error_at(f"this has no result: {outcome.error}", node)
        return outcome.value
