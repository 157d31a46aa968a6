"""``pydatacoll completion``."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the script with which a shell completes commands, options, devices and points.

    \b
    bash:  eval "$(pydatacoll completion bash)"      in ~/.bashrc
    zsh:   eval "$(pydatacoll completion zsh)"       in ~/.zshrc
    fish:  pydatacoll completion fish > ~/.config/fish/completions/pydatacoll.fish
    """
    from pydatacoll.cli import shells

    click.echo(shells.source(click.get_current_context().find_root().command, shell), nl=False)
