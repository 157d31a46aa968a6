"""The group of all commands: options, exit codes, Ctrl+C and broken pipes."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

import click

from pydatacoll import __version__
from pydatacoll.cli.alarms import alarms
from pydatacoll.cli.audit import audit
from pydatacoll.cli.completion import completion
from pydatacoll.cli.control import ctrl
from pydatacoll.cli.doctor import doctor
from pydatacoll.cli.failures import EXIT_CODES, INTERRUPTED, Failure
from pydatacoll.cli.frames import frames
from pydatacoll.cli.history import history
from pydatacoll.cli.interrogate import discovered, interrogate
from pydatacoll.cli.lists import ls, show
from pydatacoll.cli.plugins import plugins
from pydatacoll.cli.probe import probe
from pydatacoll.cli.serve import serve, version
from pydatacoll.cli.session import options
from pydatacoll.cli.simulate import simulate
from pydatacoll.cli.tail import tail
from pydatacoll.cli.tokens import token
from pydatacoll.cli.transfer import export_model, import_model
from pydatacoll.cli.values import call, get

COMPLETE = "_PYDATACOLL_COMPLETE"
"""Environment variable with which a shell asks for completions."""

_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES.items())


class Commands(click.Group):
    """Ends as a Unix tool does, whatever happens to its terminal or its pipe."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except click.Abort as error:
            if not isinstance(error.__context__, KeyboardInterrupt):
                raise
            click.echo(err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # who reads has enough; what is still buffered must not complain at the end of the process
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except OSError as error:
            raise Failure(str(error)) from error
        return result

    def _main_shell_completion(self, *arguments: Any, **more: Any) -> None:
        if COMPLETE in os.environ:
            from pydatacoll.cli import shells

            shells.register()
        super()._main_shell_completion(*arguments, **more)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(__version__, prog_name="PyDataColl", message="%(prog)s %(version)s")
def main() -> None:
    """PyDataColl: collect data from devices over Modbus TCP and IEC 60870-5-104, and serve it over REST.

    Data go to standard output, everything else to standard error. A point is DEVICE:TERM:ITEM; where a GLOB is
    taken, * ? and [] stand for characters, and what is left out at its end matches everything.
    """


main.params += options(on_group=True)
for _command in (
    serve,
    simulate,
    ls,
    show,
    get,
    call,
    ctrl,
    tail,
    history,
    probe,
    interrogate,
    discovered,
    import_model,
    export_model,
    frames,
    alarms,
    audit,
    plugins,
    token,
    doctor,
    completion,
    version,
):
    main.add_command(_command)
