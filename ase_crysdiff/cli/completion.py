"""`crysdiff completion`: a script with which a shell completes commands, options and names.

A script that is made once costs nothing when a key is pressed, unlike one that asks Python each
time; `shtab` makes it of our parsers for every common shell.
"""

import argparse

from ase_crysdiff import registry

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
#: Which registered names an argument takes, by where its value is kept.
_NAMES = {
    "sampler": registry.SAMPLERS,
    "potential": registry.POTENTIALS,
    "guidance": registry.POTENTIALS,
    "judge": registry.POTENTIALS,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("shell", choices=SHELLS, help="one of %(choices)s")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the script."""
    from ase_crysdiff.cli.main import whole_parser
    from ase_crysdiff.errors import MissingExtraError

    try:
        import shtab
    except ImportError as error:
        raise MissingExtraError(
            "Completion scripts are made by shtab: pip install 'ase-crysdiff[completion]'. The "
            "script itself does not need it again."
        ) from error
    parser = whole_parser()
    for command in _commands(parser):
        _tell(command, shtab.FILE)
    print(shtab.complete(parser, options.shell))
    return 0


def _commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The parsers of all commands."""
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return [command for group in groups for command in group.choices.values()]


def _tell(command: argparse.ArgumentParser, files: object) -> None:
    """Says which values are files and which are registered names."""
    for action in command._actions:
        if action.nargs == 0 or action.choices is not None:
            continue
        if group := _NAMES.get(action.dest):
            action.choices = registry.names(group)
        else:
            action.complete = files  # type: ignore[attr-defined]
