"""The reference of the command line, written from the parsers of its commands."""

import argparse
import html
from importlib import import_module

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from ase_crysdiff.cli.main import COMMANDS

PAGE = "reference/command-line.md"
INTRODUCTION = """# Command line

`crysdiff COMMAND --help` says the same in a terminal. Commands return 0 on success, 1 on an error that is explained, 2 on wrong usage and
130 on Ctrl-C; those that write into a folder go on where they were interrupted when they are given again.

| command | what for |
|---|---|
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page."""
    files.append(File.generated(config, PAGE, content=reference()))
    return files


def reference() -> str:
    """The page: a table of the commands, then each with its arguments."""
    rows = [f"| [`crysdiff {name}`](#{name}) | {COMMANDS[name]} |" for name in COMMANDS]
    return INTRODUCTION + "\n".join(rows) + "\n\n" + "\n".join(map(_section, COMMANDS))


def _section(name: str) -> str:
    parser = argparse.ArgumentParser(f"crysdiff {name}", add_help=False)
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=96)
    parser.description = COMMANDS[name]
    import_module(f"ase_crysdiff.cli.{name}").configure(parser)
    parts = [f"## {name}", f"{_sentence(parser.description)}"]
    parts += [f"```text\n{parser.format_usage().strip()}\n```"]
    shown = [a for a in parser._actions if a.help != argparse.SUPPRESS]
    if shown:
        parts += ["| argument | meaning | default |\n|---|---|---|\n" + "\n".join(map(_row, shown))]
    if parser.epilog:
        parts += [f"```text\n{parser.epilog.strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _sentence(text: str) -> str:
    text = text.strip()
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _row(action: argparse.Action) -> str:
    names = ", ".join(f"`{option}`" for option in action.option_strings)
    value = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    values = " ".join(value) if isinstance(value, tuple) else str(value)
    if action.choices and not action.metavar:
        values = " \\| ".join(map(str, action.choices))
    if action.nargs == 0:
        values = ""
    about = _cell((action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%"))
    hidden = action.default is None or action.nargs == 0 or action.default == argparse.SUPPRESS
    default = "" if hidden or action.default in ([], ()) else f"`{action.default}`"
    name = f"{names} {_cell(values)}".strip() if names else f"`{values}`"
    return f"| {name} | {about} | {_cell(default)} |"


def _cell(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|").replace("\\\\|", "\\|")
