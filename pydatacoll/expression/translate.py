"""The tree of an expression -> the text of two functions in Python.

The *fast* one is for inputs that are all good numbers, which is nearly always the case. Whatever goes wrong in it,
and any result that is very large, makes it give up, and then the *careful* one decides. Both are made here side by
side, of nothing but numbers written by :func:`repr`, names of our own and signs: no text of the user gets in.

A number may become infinite or NaN on the way without Python noticing. Through ``+ - *`` and the left side of a
division it stays so until the end, where it is found; it is looked for before everything that could hide it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping
from math import inf, isfinite
from typing import Any

from pydatacoll.expression.durations import duration
from pydatacoll.expression.errors import ExpressionError
from pydatacoll.expression.functions import CONSTANTS, FUNCTIONS, WIDEST
from pydatacoll.expression.hints import meant
from pydatacoll.expression.pieces import Piece, Reference, bracketed, joined, truth
from pydatacoll.expression.source import MAX_DEPTH, Source
from pydatacoll.expression.windows import WINDOWS

FARTHEST = 1000
"""Samples that an index can go back."""


_SUMS = {ast.Add: "+", ast.Sub: "-"}
_PRODUCTS = {ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%"}
_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_EQUALITIES = (ast.Eq, ast.NotEq)
_EXACT_POWERS = (2, 3)

PARTS = ("quality", "good", "bad", "valid", "accept")
"""Functions of the quality of their argument. In the fast function it is good."""
_OF_GOOD = {"quality": "0", "good": "True", "bad": "False", "valid": "True"}

FUNCTION_NAMES = frozenset((*FUNCTIONS, *WINDOWS, *PARTS, "default", "age"))

_NOT_PART = {
    "Tuple": "a comma stands here that separates no arguments: write '.' in decimal numbers",
    "List": "lists are not part of the language",
    "Starred": "'*' in front of an argument is not part of the language",
}


class Translator:
    """Translates one expression.

    :ivar order: the parameters used, in the order of their first use.
    :ivar recent: of those used with an index, how many samples back.
    :ivar windows: of those used with windows, the longest in seconds; infinite: all that is kept.
    :ivar moving: whether the result changes as time passes.
    """

    def __init__(self, source: Source, names: Collection[str], aliases: Mapping[str, str]) -> None:
        self.order: dict[str, int] = {}
        self.recent: dict[str, int] = {}
        self.windows: dict[str, float] = {}
        self.moving = False
        self._source = source
        self._names = names
        self._aliases = aliases
        self._depth = 0
        self._temporaries = 0

    def translate(self, node: ast.expr, *, text: bool = False) -> Piece:
        """``text``: whether the value may be a text.

        :raises ExpressionError: when it is not part of the language.
        """
        handler = _HANDLERS.get(type(node))
        if handler is None:
            kind = type(node).__name__
            raise self._error(_NOT_PART.get(kind, f"this ({kind}) is not part of the language"), node)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(
                f"more than {MAX_DEPTH} levels within each other: divide it into several formulas", node
            )
        piece = handler(self, node, text)
        self._depth -= 1
        return piece

    def _error(self, message: str, node: ast.expr | ast.keyword) -> ExpressionError:
        return self._source.error_at(message, node)

    def _error_behind(self, message: str, node: ast.Attribute) -> ExpressionError:
        """At the name behind the point, not at what stands in front of it."""
        return self._source.error_at(message, node, (node.end_col_offset or 0) - len(node.attr))

    def _finite(self, node: ast.expr, *, text: bool = False) -> Piece:
        """The same, but it fails when the value is not finite."""
        piece = self.translate(node, text=text)
        if piece.finite:
            return piece
        fast = None
        if piece.fast is not None:
            self._temporaries += 1
            name = f"t{self._temporaries}"
            fast = f"({name} if -{WIDEST} < ({name} := {piece.fast}) < {WIDEST} else give_up())"
        return piece._replace(fast=fast, careful=f"finite({piece.careful})", finite=True, atom=True)

    # Values

    def _constant(self, node: ast.Constant, text: bool) -> Piece:
        value = node.value
        if isinstance(value, bool):
            return Piece(str(value), str(value), boolean=True)
        if isinstance(value, str):
            raise self._error("a text can only be the duration of a window, as in mean(p1, '15m')", node)
        if isinstance(value, int) and value >= WIDEST:
            raise self._error("a whole number this large is not exact: write it as 1e20", node)
        if not isinstance(value, (int, float)) or not isfinite(value):
            raise self._error(f"not a number that can be calculated with; the largest is {1.7e308}", node)
        return Piece(repr(value), repr(value))

    def _name(self, node: ast.Name, text: bool) -> Piece:
        name = node.id
        if name in self._names:
            return self._reference(Reference(name, 1), text)
        if name in self._aliases:
            return self._alias(name, text)
        if name in CONSTANTS:
            return Piece(repr(CONSTANTS[name]), repr(CONSTANTS[name]))
        if name in FUNCTION_NAMES:
            raise self._error(f"{name} is a function: write {name}(...)", node)
        has = ", ".join(sorted(self._names)[:8]) or "no parameters"
        hint = meant(name, [*self._names, *self._aliases, *CONSTANTS, *FUNCTION_NAMES])
        raise self._error(f"{name} is not known; there are {has}{hint}", node)

    def _alias(self, name: str, text: bool) -> Piece:
        outer = self._source, self._aliases
        self._source, self._aliases = Source(self._aliases[name]), {}
        piece = self.translate(self._source.parse(), text=text)
        self._source, self._aliases = outer
        return piece

    def _input(self, name: str) -> str:
        return f"i{self.order.setdefault(name, len(self.order))}"

    def _reference(self, to: Reference, text: bool) -> Piece:
        of = self._input(to.name)
        if to.back == 1:
            read = "value" if text else "number"
            return Piece(f"v{of[1:]}", f"r.{read}({of}, {to.name!r})")
        self.recent[to.name] = max(to.back, self.recent.get(to.name, 1))
        read = "stored" if text else "stored_number"
        return Piece(None, f"r.{read}({of}, {to.name!r}, {to.back})")

    def _subscript(self, node: ast.Subscript, text: bool) -> Piece:
        to = self._referred(node)
        if to is None:
            raise self._error("only parameters have stored samples: p1[-2]", node)
        return self._reference(to, text)

    def _referred(self, node: ast.expr) -> Reference | None:
        """The parameter or stored sample that a node is, if it is one."""
        if isinstance(node, ast.Name):
            return Reference(node.id, 1) if node.id in self._names else None
        if not isinstance(node, ast.Subscript) or not self._is_parameter(node.value):
            return None
        index = node.slice
        if (
            isinstance(index, ast.UnaryOp)
            and isinstance(index.op, ast.USub)
            and isinstance(index.operand, ast.Constant)
            and type(index.operand.value) is int
            and 1 <= index.operand.value <= FARTHEST
        ):
            return Reference(node.value.id, index.operand.value)  # type: ignore[attr-defined]
        raise self._error(
            f"write p1[-1] for the newest sample, p1[-2] for the one before, to p1[-{FARTHEST}]", index
        )

    def _is_parameter(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self._names

    # Operators

    def _binary(self, node: ast.BinOp, text: bool) -> Piece:
        if isinstance(node.op, ast.Pow):
            return self._power(node)
        signs: Mapping[type[ast.operator], str] = _SUMS if type(node.op) in _SUMS else _PRODUCTS
        links: list[tuple[str, ast.expr]] = []
        first: ast.expr = node
        while isinstance(first, ast.BinOp) and type(first.op) in signs:
            links.append((signs[type(first.op)], first.right))
            first = first.left
        if first is node:
            raise self._error("this operator is not part of the language", node)
        start = self.translate(first)
        fast, careful = [bracketed(start.fast, start)], [bracketed(start.careful, start)]
        for sign, right in reversed(links):
            piece = self._finite(right) if sign in ("/", "//", "%") else self.translate(right)
            fast += [sign, bracketed(piece.fast, piece)]
            careful += [sign, bracketed(piece.careful, piece)]
        return Piece(joined(fast), " ".join(map(str, careful)), finite=False, atom=False)

    def _power(self, node: ast.BinOp) -> Piece:
        base, exponent = self._finite(node.left), self._finite(node.right)
        fast = joined(["power(", base.fast, ",", exponent.fast, ")"])
        if isinstance(node.right, ast.Constant) and node.right.value in _EXACT_POWERS and base.fast is not None:
            fast = f"(({base.fast}) ** {exponent.fast})"
        return Piece(fast, f"power({base.careful}, {exponent.careful})")

    def _unary(self, node: ast.UnaryOp, text: bool) -> Piece:
        if isinstance(node.op, ast.Not):
            of = self._finite(node.operand)
            return Piece(joined(["(not", of.fast, ")"]), f"(not {of.careful})", boolean=True)
        if not isinstance(node.op, (ast.USub, ast.UAdd)):
            raise self._error("this operator is not part of the language", node)
        sign = "-" if isinstance(node.op, ast.USub) else "+"
        of = self.translate(node.operand)
        fast, careful = bracketed(of.fast, of), bracketed(of.careful, of)
        return Piece(joined(["(" + sign, fast, ")"]), f"({sign} {careful})", finite=of.finite)

    def _compare(self, node: ast.Compare, text: bool) -> Piece:
        operands = [node.left, *node.comparators]
        for op in node.ops:
            if type(op) not in _COMPARISONS:
                raise self._error("this comparison is not part of the language", node)
        texts = all(isinstance(op, _EQUALITIES) for op in node.ops)
        pieces = [self._finite(one, text=texts) for one in operands]
        signs = [_COMPARISONS[type(op)] for op in node.ops]
        fast: list[str | None] = ["(", bracketed(pieces[0].fast, pieces[0])]
        careful: list[str | None] = ["(", bracketed(pieces[0].careful, pieces[0])]
        for sign, piece in zip(signs, pieces[1:], strict=True):
            fast += [sign, bracketed(piece.fast, piece)]
            careful += [sign, bracketed(piece.careful, piece)]
        return Piece(joined([*fast, ")"]), joined([*careful, ")"]) or "", boolean=True)

    def _logic(self, node: ast.BoolOp, text: bool) -> Piece:
        word = " and " if isinstance(node.op, ast.And) else " or "
        pieces = [truth(self._finite(one)) for one in node.values]
        fast = None if any(one.fast is None for one in pieces) else word.join(str(one.fast) for one in pieces)
        careful = word.join(one.careful for one in pieces)
        return Piece(None if fast is None else f"({fast})", f"({careful})", boolean=True)

    def _choice(self, node: ast.IfExp, text: bool) -> Piece:
        test = self._finite(node.test)
        yes, no = self.translate(node.body, text=text), self.translate(node.orelse, text=text)
        return Piece(
            joined(["(", yes.fast, "if", test.fast, "else", no.fast, ")"]),
            f"({yes.careful} if {test.careful} else {no.careful})",
            finite=yes.finite and no.finite,
            boolean=yes.boolean and no.boolean,
        )

    # Calls

    def _call(self, node: ast.Call, text: bool) -> Piece:
        if node.keywords:
            raise self._error("arguments have no names here: write the value alone", node.keywords[0])
        if isinstance(node.func, ast.Attribute):
            return self._method(node, node.func)
        if not isinstance(node.func, ast.Name):
            raise self._error("only functions can be called: an operator is missing", node)
        name, arguments = node.func.id, node.args
        if name in WINDOWS and self._is_window(name, arguments):
            return self._window(node, name, arguments[0], arguments[1:])
        if name in FUNCTIONS:
            return self._function(node, name)
        if name == "default":
            return self._default(node, text)
        if name == "age":
            return self._age(node)
        if name in PARTS:
            return self._part(node, name, text)
        if name in WINDOWS:
            raise self._error(f"{name} needs a parameter, and may have a duration: {_example(name)}", node)
        if name in self._names or name in self._aliases:
            raise self._error(f"{name} is not a function: an operator is missing", node)
        raise self._error(f"there is no function {name}{meant(name, FUNCTION_NAMES)}", node)

    def _is_window(self, name: str, arguments: list[ast.expr]) -> bool:
        """Whether this is a window; ``min(p1, p2)`` is none."""
        if not arguments or not self._is_parameter(arguments[0]):
            return False
        return name not in FUNCTIONS or len(arguments) == 1 or _is_text(arguments[-1])

    def _method(self, node: ast.Call, function: ast.Attribute) -> Piece:
        if not self._is_parameter(function.value):
            raise self._error_behind("only parameters have functions behind a point: p1.max('15m')", function)
        name = function.attr
        if name not in WINDOWS:
            raise self._error_behind(f"there is no window function {name}{meant(name, WINDOWS)}", function)
        return self._window(node, name, function.value, node.args)

    def _attribute(self, node: ast.Attribute, text: bool) -> Piece:
        if self._is_parameter(node.value) and node.attr in WINDOWS:
            raise self._error_behind(f"write {node.attr}() with brackets", node)
        raise self._error_behind("only functions of windows stand behind a point: p1.max('15m')", node)

    def _window(self, node: ast.Call, name: str, of: ast.expr, arguments: list[ast.expr]) -> Piece:
        seconds = inf
        if arguments and _is_text(arguments[-1]):
            written = arguments[-1]
            arguments = arguments[:-1]
            try:
                seconds = duration(written.value)  # type: ignore[attr-defined]
            except ValueError as error:
                raise self._error(str(error), written) from None
        if len(arguments) != WINDOWS[name].arguments:
            raise self._error(f"write {_example(name)}", node)
        numbers = ""
        for argument in arguments:
            if not isinstance(argument, ast.Constant) or type(argument.value) not in (int, float):
                raise self._error(f"a number has to stand here: {_example(name)}", argument)
            if not 0 <= argument.value <= 100:  # type: ignore[operator]
                raise self._error("a percentage is from 0 to 100", argument)
            numbers += f", {argument.value!r}"
        parameter: str = of.id  # type: ignore[attr-defined]
        self.windows[parameter] = max(seconds, self.windows.get(parameter, 0.0))
        self.moving = True
        return Piece(None, f"r.window({self._input(parameter)}, {parameter!r}, {name!r}, {seconds!r}{numbers})")

    def _count(self, node: ast.Call, least: int, most: int, name: str) -> None:
        if not least <= len(node.args) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            example = f", or a window: {_example(name)}" if name in WINDOWS else ""
            raise self._error(f"{name} takes {wanted} arguments, not {len(node.args)}{example}", node)

    def _function(self, node: ast.Call, name: str) -> Piece:
        function = FUNCTIONS[name]
        self._count(node, function.least, function.most, name)
        pieces = [self._finite(one) for one in node.args]
        fast = None
        if all(one.fast is not None for one in pieces):
            fast = f"f_{name}({', '.join(str(one.fast) for one in pieces)})"
        careful = f"f_{name}({', '.join(one.careful for one in pieces)})"
        return Piece(fast, careful, finite=function.finite, boolean=function.boolean)

    def _default(self, node: ast.Call, text: bool) -> Piece:
        self._count(node, 2, 2, "default")
        first, other = self._finite(node.args[0], text=text), self.translate(node.args[1], text=text)
        careful = f"r.default(lambda: {first.careful}, lambda: {other.careful})"
        return Piece(first.fast, careful, finite=other.finite, boolean=first.boolean and other.boolean)

    def _age(self, node: ast.Call) -> Piece:
        self._count(node, 1, 1, "age")
        to = self._referred(node.args[0])
        if to is None:
            raise self._error("age takes a parameter: age(p1)", node.args[0])
        self.moving = True
        self._reference(to, text=True)
        of = self._input(to.name)
        fast = f"f_max(0.0, now - {of}.time)" if to.back == 1 else None
        return Piece(fast, f"r.age({of}, {to.name!r}, {to.back})")

    def _part(self, node: ast.Call, name: str, text: bool) -> Piece:
        self._count(node, 1, 1, name)
        argument = node.args[0]
        if name == "accept":
            of = self.translate(argument, text=text)
            return of._replace(careful=f"r.accept(lambda: {of.careful})", atom=of.atom)
        of = self.translate(argument, text=True)
        to = self._referred(argument)
        # of the latest value the fast function knows that it is good; a calculation may fail
        fast = _OF_GOOD[name] if to is not None and to.back == 1 else None
        return Piece(fast, f"r.{name}(lambda: {of.careful})", boolean=name != "quality")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _example(name: str) -> str:
    return f"{name}(p1, {'95, ' * WINDOWS[name].arguments}'15m')"


_Handler = Callable[[Translator, Any, bool], Piece]
_HANDLERS: dict[type[ast.expr], _Handler] = {
    ast.Constant: Translator._constant,
    ast.Name: Translator._name,
    ast.Subscript: Translator._subscript,
    ast.BinOp: Translator._binary,
    ast.UnaryOp: Translator._unary,
    ast.Compare: Translator._compare,
    ast.BoolOp: Translator._logic,
    ast.IfExp: Translator._choice,
    ast.Call: Translator._call,
    ast.Attribute: Translator._attribute,
}
