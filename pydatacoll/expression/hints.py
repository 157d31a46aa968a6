"""What a user may have meant by something that is not part of the language."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_NOT_THIS = "is not part of the language"

_CHARACTERS = {
    "=": "write '==' to compare",
    "!": "write 'not', or '!=' for unequal",
    "&": "write 'and'; bit(p1, 3) gives a bit",
    "|": "write 'or'; bit(p1, 3) gives a bit",
    "^": "write '**' for a power",
    "~": "write 'not'; bit(p1, 3) gives a bit",
    "<<": "write '* 2 ** n' instead of a shift",
    ">>": "write '// 2 ** n' instead of a shift; bit(p1, 3) gives a bit",
    "<>": "write '!=' for unequal",
    ":": "write 'a if condition else b'; p1[-2] is one sample, mean(p1, '15m') a window",
    "?": "write 'a if condition else b'",
    "{": "write p1, not {p1}",
    "}": "write p1, not {p1}",
    "@": "write '*' to multiply",
    "#": "comments have no place here",
    "'": "the quotation mark is never closed",
    '"': "the quotation mark is never closed",
    "×": "write '*'",
    "·": "write '*'",
    "÷": "write '/'",
    "−": "write '-'",
    "–": "write '-'",
    "≤": "write '<='",
    "≥": "write '>='",
    "≠": "write '!='",
    "²": "write '** 2'",
    "³": "write '** 3'",
    "√": "write sqrt(...)",
    "π": "write pi",
    "‘": "write '",
    "’": "write '",
    "“": "write '",
    "”": "write '",
    "\u00a0": "a blank that is none: write an ordinary one",
    "\u3000": "a blank that is none: write an ordinary one",
}

_KEYWORDS = {
    "is": "write '=='",
    "in": "write comparisons joined by 'or'",
    "None": "default(p1, 0) and valid(p1) deal with missing values",
    "lambda": "",
    "for": "windows as sum(p1, '1h') go over many samples",
    "while": "windows as sum(p1, '1h') go over many samples",
    "elif": "write 'a if condition else b if other else c'",
    "then": "write 'a if condition else b'",
    "return": "write the expression alone",
    **dict.fromkeys(
        (
            *("as", "assert", "async", "await", "break", "case", "class", "continue", "def", "del", "except"),
            *("finally", "from", "global", "import", "match", "nonlocal", "pass", "raise", "try", "type"),
            *("with", "yield"),
        ),
        "",
    ),
}

_OTHER_NAMES = {
    "true": "True",
    "false": "False",
    "TRUE": "True",
    "FALSE": "False",
    "PI": "pi",
    "avg": "average (of samples) or mean (over time)",
    "std": "stddev",
    "stdev": "stddev",
    "ln": "log",
    "int": "trunc",
    "float": "the value as it is",
    "pow": "x ** y",
    "mod": "x % y",
    "fabs": "abs",
    "isnan": "bad(p1): a value is never NaN",
    "nan": "valid(p1): a value is never NaN",
    "inf": "valid(p1): a value is never infinite",
    "median": "percentile(p1, 50, '15m')",
    "diff": "delta",
    "derivative": "rate",
    "coalesce": "default",
    "ifnull": "default",
    "limit": "clamp",
    "pct": "percentile",
    "arctan": "atan",
    "IF": "a if condition else b",
    "iif": "a if condition else b",
    "now": "age(p1)",
    "time": "age(p1)",
}


def character_hint(text: str, position: int) -> str:
    """What to write instead of the character at a place."""
    character = text[position]
    shown = text[position : position + 2]
    if shown not in _CHARACTERS:
        shown = character
    hint = _CHARACTERS.get(shown)
    if hint is None and "\uff01" <= character <= "\uff5e":  # the full-width forms of ASCII
        hint = f"write {chr(ord(character) - 0xFEE0)!r}"
    # repr: nobody can see what a control character or a look-alike is
    described = repr(shown) if character.isascii() else f"{shown!r} ({ascii(shown)[1:-1]})"
    return f"{described} {_NOT_THIS}" + (f": {hint}" if hint else "")


def keyword_hint(word: str) -> str | None:
    """Why this word cannot be used anywhere; ``None`` when it can."""
    if word.startswith("__"):
        return f"{word!r} {_NOT_THIS}"
    hint = _KEYWORDS.get(word)
    if hint is None:
        return None
    return f"{word!r} {_NOT_THIS}" + (f": {hint}" if hint else "")


def meant(name: str, known: Iterable[str]) -> str:
    """``; did you mean ...?`` when something known is close, else an empty text."""
    other = _OTHER_NAMES.get(name)
    if other is None:
        lower = {one.lower(): one for one in known}
        close = get_close_matches(name.lower(), lower, n=1)
        other = lower[close[0]] if close else None
    return f"; did you mean {other}?" if other else ""
