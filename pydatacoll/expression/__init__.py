"""Pure: the formula and check language.

==============  =====================================================================
module          concept
==============  =====================================================================
``source``      a text that is safe to parse, and the places in it
``hints``       what a user may have meant
``durations``   how long a window is
``functions``   functions of numbers
``recent``      the recent samples of a point, and windows on them
``windows``     functions of windows
``inputs``      what an expression sees of one point
``reading``     the careful way to evaluate, with attention to quality
``pieces``      parts of that text
``translate``   the tree -> the text of two functions, a fast and a careful one
``expression``  compile and evaluate
``problems``    what is wrong with an expression that is to be stored
==============  =====================================================================
"""

from pydatacoll.expression.errors import ExpressionError
from pydatacoll.expression.expression import (
    ITEM_ALIASES,
    ITEM_NAMES,
    Expression,
    compile_expression,
    compile_rule,
)
from pydatacoll.expression.functions import CONSTANTS
from pydatacoll.expression.inputs import Input
from pydatacoll.expression.problems import formula_problem, rule_problem
from pydatacoll.expression.reading import Outcome
from pydatacoll.expression.translate import FUNCTION_NAMES

__all__ = [
    "CONSTANTS",
    "FUNCTION_NAMES",
    "ITEM_ALIASES",
    "ITEM_NAMES",
    "Expression",
    "ExpressionError",
    "Input",
    "Outcome",
    "compile_expression",
    "compile_rule",
    "formula_problem",
    "rule_problem",
]
