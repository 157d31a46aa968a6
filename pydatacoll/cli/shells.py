"""How shells complete. Bash takes a colon for the end of a word, but points have colons in them."""

from __future__ import annotations

import os
from typing import Any, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

PROGRAM: Final = "pydatacoll"
VARIABLE: Final = "_PYDATACOLL_COMPLETE"

_BASH: Final = """\
%(complete_func)s() {
    local IFS=$'\\n' line
    COMPREPLY=()
    for line in $(COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \\
            %(complete_var)s=bash_complete %(prog_name)s 2>/dev/null); do
        case "$line" in
            dir,*) compopt -o dirnames 2>/dev/null ;;
            file,*) compopt -o default 2>/dev/null ;;
            part,*) compopt -o nospace 2>/dev/null; COMPREPLY+=("${line#*,}") ;;
            *) COMPREPLY+=("${line#*,}") ;;
        esac
    done
}

complete -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Gets the line as it stands, and answers only what follows the last colon of the word."""

    source_template = _BASH

    @staticmethod
    def _check_version() -> None:
        """The script needs nothing new."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Words before the one that is completed, and that one."""
        line = os.environ.get("COMP_WORDS", "")
        words = split_arg_string(line)[1:]
        if not words or line[-1:].isspace():
            return words, ""
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """``type,value``; ``part`` when the word goes on."""
        value = str(item.value)
        kind = "part" if item.type == "plain" and value.endswith(":") else item.type
        if ":" in os.environ.get("COMP_BREAKS", ""):
            _, word = self.get_completion_args()
            value = value[word.rfind(":") + 1 :]
        return f"{kind},{value}"


def register() -> None:
    """Complete in bash with :class:`Bash`."""
    add_completion_class(Bash)


def source(command: click.Command, shell: str) -> str:
    """The script for a shell."""
    register()
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - the choice of the argument
    return made(command, {}, PROGRAM, VARIABLE).source() + "\n"
