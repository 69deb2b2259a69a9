"""The parser of the command line: what is mistyped is told with what was probably meant."""

import argparse
from typing import Any, NoReturn

from ase_crysdiff.errors import did_you_mean


class Parser(argparse.ArgumentParser):
    """Parses a command or one of its kinds; those below it are of this class, too."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parses all words: one that is left ends the program here, where the options are known
        that it may have meant, and not in the parser above.
        """
        found, left = super().parse_known_args(args, namespace)
        if left:
            self._refuse(left)
        return found, left

    def _refuse(self, left: list[str]) -> NoReturn:
        """Ends the program because of words that nothing takes."""
        options = [word.split("=")[0] for word in left if word.startswith("--")]
        if not options:
            self._end(f"nothing takes {' '.join(map(repr, left))}")
        known = [word for word in self._option_string_actions if word.startswith("--")]
        self._end(f"there is no option {options[0]}.{did_you_mean(options[0], known)}".rstrip("."))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuses what is no choice of an argument."""
        if action.choices is None or value in action.choices:
            return
        named = "/".join(action.option_strings) or action.metavar or action.dest
        known = [str(one) for one in action.choices]
        close = did_you_mean(value, known)
        self._end(
            f"{named} cannot be {value!r}.{close}"
            if close
            else f"{named} cannot be {value!r}, but one of {', '.join(known)}"
        )

    def _end(self, message: str) -> NoReturn:
        ends = "" if message.endswith("?") else "."
        self.exit(2, f"{self.prog}: {message}{ends}\nusage: {self.prog} --help\n")
