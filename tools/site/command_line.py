"""The reference of the command line, written from the parsers of its commands."""

import argparse
import html
from importlib import import_module

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from ase_crysdiff.cli.main import COMMANDS

PLACE = "<!-- the site writes the commands here -->"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills the page of the commands."""
    return markdown.replace(PLACE, reference()) if PLACE in markdown else markdown


def reference() -> str:
    """A table of the commands, then each with its arguments."""
    rows = [f"| [`crysdiff {name}`](#{name}) | {COMMANDS[name]} |" for name in COMMANDS]
    table = "\n".join(["| command | what for |", "|---|---|", *rows])
    return table + "\n\n" + "\n".join(map(_section, COMMANDS))


def _section(name: str) -> str:
    parser = argparse.ArgumentParser(f"crysdiff {name}", add_help=False)
    parser.description = COMMANDS[name]
    import_module(f"ase_crysdiff.cli.{name.replace('-', '_')}").configure(parser)
    return f"## {name}\n\n" + _described(parser)


def _described(parser: argparse.ArgumentParser) -> str:
    """What a command is, its usage, its arguments, its examples, then its kinds."""
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=96)
    parts = [_sentence(parser.description or ""), _fence(parser.format_usage())]
    kinds = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    hidden = (argparse._HelpAction, argparse._SubParsersAction)
    shown = [
        a for a in parser._actions if a.help != argparse.SUPPRESS and not isinstance(a, hidden)
    ]
    if shown:
        parts.append("| argument | meaning |\n|---|---|\n" + "\n".join(map(_row, shown)))
    if parser.epilog:
        parts.append(_fence(parser.epilog))
    for action in kinds:
        for name, kind in action.choices.items():
            parts.append(f"### {parser.prog.split()[-1]} {name}\n\n{_described(kind)}")
    return "\n\n".join(parts) + "\n"


def _fence(text: str) -> str:
    return f"```text\n{text.strip()}\n```"


def _sentence(text: str) -> str:
    text = html.escape(text.strip().replace("%%", "%"), quote=False)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _row(action: argparse.Action) -> str:
    names = ", ".join(f"`{option}`" for option in action.option_strings)
    value = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    values = " ".join(value) if isinstance(value, tuple) else str(value)
    if action.choices and not action.metavar:
        values = " | ".join(map(str, action.choices))
    about = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    if action.nargs == 0:
        values = ""
    elif "default" not in about and action.default not in (None, argparse.SUPPRESS, [], ()):
        about += f" (default {action.default})"
    return f"| {f'{names} {_cell(values)}' if names else f'`{values}`'} | {_cell(about)} |"


def _cell(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")
