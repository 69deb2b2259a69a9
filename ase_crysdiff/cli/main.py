"""`crysdiff`: parses, calls the same public functions as everybody, prints. Each command imports
what it needs.
"""

import argparse
import sys
from collections.abc import Container, Sequence
from importlib import import_module
from io import TextIOWrapper

from ase_crysdiff import __version__
from ase_crysdiff.cli.examples import epilog
from ase_crysdiff.cli.messages import plain_warnings, printed_reports
from ase_crysdiff.cli.parser import Parser
from ase_crysdiff.environment import quiet_spglib
from ase_crysdiff.errors import CrysDiffError

COMMANDS = {
    "list": "what is installed, by kind",
    "sample": "draw crystals into a folder",
    "inpaint": "place atoms in a host",
    "vary": "draw neighbours of a crystal",
    "discover": "from a wish to ranked candidates, with a report",
    "relax": "bring crystals to the next minimum of energy",
    "merge": "join the folders of a job array",
    "predict": "properties of crystals",
    "evaluate": "relax and score crystals, with a report",
    "pack": "turn crystal files into one file for training",
    "label": "energies and forces of crystals, to train potentials on",
    "curate": "choose crystals to train on, in two stages",
    "train": "train models",
    "tasks": "tables of properties, to learn from and to measure on",
    "finetune": "make a predictor from a pretrained encoder and a table",
    "compose": "make a predictor from a hub of modules and a small table",
    "finetune-sampler": "teach a sampler a property by a table",
    "export": "turn a training run into weights with a card",
    "convert": "turn a checkpoint of DiffCSP, MiAD or FlowMM into weights",
    "benchmark": "measure a sampler",
    "cite": "print the works behind what was used, as BibTeX",
    "completion": "print a script that completes commands in a shell",
    "doctor": "check the installation",
}

_EXIT_CODES = """exit codes:
  0    done
  1    something could not be done; standard error says what and why
  2    wrong usage
  130  interrupted; the same command goes on where it was"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0 on success, 1 on an error that is explained, 2 on wrong usage, 130
    on Ctrl-C.
    """
    quiet_spglib()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal without "Å" must not cost the results
            stream.reconfigure(errors="replace")
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((w for w in words if not w.startswith("-")), None)
    options = _parser({chosen}).parse_args(words)
    try:
        with plain_warnings(), printed_reports():
            return int(options.run(options))
    except CrysDiffError as error:
        print(f"crysdiff {options.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read what is printed has had enough
        sys.stdout = None  # nothing more can be flushed there
        return 1
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"crysdiff {options.command}: {error.strerror or error}{where}. Finished work is kept: "
            "make room or choose another folder, and give the same command again to go on.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print(
            f"\ncrysdiff {options.command}: interrupted; give the same command again to go on.",
            file=sys.stderr,
        )
        return 130


def whole_parser() -> argparse.ArgumentParser:
    """The parser with the options of all commands, which imports them all."""
    return _parser(COMMANDS)


def _parser(configured: Container[str | None]) -> argparse.ArgumentParser:
    """The parser, with the options of some commands."""
    parser = Parser(
        prog="crysdiff",
        description="Generate crystals from ASE and pymatgen.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ase-crysdiff {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=purpose,
            description=purpose,
            epilog=epilog(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in configured:
            import_module(f"ase_crysdiff.cli.{name.replace('-', '_')}").configure(command)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
