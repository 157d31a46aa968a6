"""Expressions, compiled once and evaluated often."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import CodeType
from typing import Any

from pydatacoll.expression.errors import NoValue
from pydatacoll.expression.functions import FUNCTIONS, WIDEST, power
from pydatacoll.expression.inputs import Input
from pydatacoll.expression.pieces import Piece
from pydatacoll.expression.reading import FAILURES, Outcome, careful, finite
from pydatacoll.expression.source import Source
from pydatacoll.expression.translate import Translator

Evaluate = Callable[[Mapping[str, Input], float], Outcome]

ITEM_NAMES = frozenset({"value"})
"""Names in the rule of an item (``do_verify``): its own value."""
ITEM_ALIASES: Mapping[str, str] = {"previous": "value[-2]", "quality": "quality(value)", "age": "age(value)"}
"""Further names in such a rule, and what they stand for."""


def _give_up() -> None:
    """Leave it to the careful function."""
    raise NoValue


_NAMESPACE: dict[str, Any] = {
    "__builtins__": {},
    **{f"f_{name}": function.call for name, function in FUNCTIONS.items()},
    "bool": bool,
    "inf": float("inf"),
    "power": power,
    "finite": finite,
    "give_up": _give_up,
    "make": tuple.__new__,
    "Outcome": Outcome,
    "FAILURES": FAILURES,
}


class Expression:
    """A compiled expression. Immutable; any number of evaluations may share it.

    :ivar text: as written.
    :ivar names: the parameters that it uses.
    :ivar recent: of parameters with an index, how many samples back it looks: ``p1[-3]`` gives 3.
    :ivar windows: of parameters with windows, the longest in seconds; infinite: all samples that are kept.
    :ivar uses_time: the result changes as time passes, without any new input.
    :ivar boolean: the result is True or False, whatever the inputs are.
    :ivar evaluate: takes the inputs by name, and the time in epoch seconds; gives the :class:`Outcome`. Nothing in
        the inputs makes it raise. A name that is missing altogether is a ``KeyError``, an input that keeps no
        samples although some are needed (:meth:`require`) a ``TypeError``: mistakes of the caller.
    """

    __slots__ = ("boolean", "evaluate", "names", "recent", "text", "uses_time", "windows")

    def __init__(self, text: str, piece: Piece, translator: Translator) -> None:
        self.text = text
        self.names = frozenset(translator.order)
        self.recent: Mapping[str, int] = translator.recent
        self.windows: Mapping[str, float] = translator.windows
        self.uses_time = translator.moving
        self.boolean = piece.boolean
        order = list(translator.order)
        slow = _careful(piece.careful, order, moving=translator.moving)
        self.evaluate: Evaluate = (
            slow if piece.fast is None else _fast(piece.fast, order, slow, moving=translator.moving)
        )

    def require(self, inputs: Mapping[str, Input]) -> None:
        """Make the inputs keep the samples that this expression needs, from now on."""
        for name in self.names:
            inputs[name].require(samples=self.recent.get(name, 1), seconds=self.windows.get(name, 0.0))

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def compile_expression(text: str, names: Collection[str], aliases: Mapping[str, str] | None = None) -> Expression:
    """Compile an expression.

    :param names: the parameters that it may use.
    :param aliases: further names, each an expression of those.
    :raises ExpressionError: when it is not one of the language, with the place and the remedy.
    """
    source = Source(text)
    translator = Translator(source, names, aliases or {})
    return Expression(text, translator.translate(source.parse(), text=True), translator)


def compile_rule(text: str) -> Expression:
    """Compile the rule of an item (``do_verify``).

    :raises ExpressionError: when it is not one of the language, with the place and the remedy.
    """
    return compile_expression(text, ITEM_NAMES, ITEM_ALIASES)


def _code(lines: list[str]) -> CodeType:
    return compile("\n".join(lines), "<expression>", "exec", dont_inherit=True)


def _function(lines: list[str], **more: Any) -> Any:
    """The function ``run`` that the lines define."""
    namespace = {**_NAMESPACE, **more}
    exec(_code(lines), namespace)  # noqa: S102  only text of our own making, see translate
    return namespace["run"]


def _fast(code: str, order: list[str], slow: Evaluate, *, moving: bool) -> Evaluate:
    numbers = range(len(order))
    doubts = " | ".join(f"i{i}.doubt" for i in numbers) or "0"
    lines = ["def run(inputs, now):"]
    lines += [f" i{i} = inputs[{order[i]!r}]" for i in numbers]
    lines += [f" if not ({doubts}):", "  try:"]
    lines += [f"   v{i} = i{i}.value" for i in numbers]
    lines += [f"   value = {code}", f"   if -{WIDEST} < value < {WIDEST}:"]
    times = [f"i{i}.time" for i in numbers] + (["now"] if moving or not order else [])
    lines.append(f"    time = {times[0]}")
    for time in times[1:]:
        lines.append(f"    if {time} > time: time = {time}")
    lines += ["    return make(Outcome, (value, 0, time, None))", "  except FAILURES: pass"]
    lines.append(" return slow(inputs, now)")
    evaluate: Evaluate = _function(lines, slow=slow)
    return evaluate


def _careful(code: str, order: list[str], *, moving: bool) -> Evaluate:
    """Compiled when it is first needed: where all inputs are always good that is never."""
    body: Callable[..., Any] | None = None

    def evaluate(inputs: Mapping[str, Input], now: float) -> Outcome:
        nonlocal body
        if body is None:
            arguments = "".join(f", i{i}" for i in range(len(order)))
            body = _function([f"def run(r{arguments}): return {code}"])
        return careful(body, [inputs[name] for name in order], now, moving=moving)

    return evaluate
