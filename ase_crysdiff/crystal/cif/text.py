"""The syntax of CIF: data blocks with items and loops.

Read after CIF 1.1 (S. R. Hall, F. H. Allen, I. D. Brown, Acta Cryst. A 47, 655 (1991); IUCr
specification of 2003), and leniently where files of the wild differ: a value of several words
without quotes is read to the end of the line, tags are taken in either spelling of the dictionaries
(`_cell_length_a`, `_cell.length_a`) and in any case. Text fields are opaque: what looks like a tag
or a data block in one is none.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ase_crysdiff.errors import InputError

#: A value; None where the file says "unknown" (`?`) or "does not apply" (`.`).
Value = str | None

# A quoted value ends at a quote before white space, so that 'a dog's life' is one value.
_TOKEN = re.compile(
    r"""'(?P<single>(?:[^']|'(?=\S))*)'(?=\s|$)|"(?P<double>(?:[^"]|"(?=\S))*)"(?=\s|$)"""
    r"""|(?P<comment>\#.*)|(?P<word>\S+)"""
)


@dataclass(frozen=True)
class Token:
    """A word of a CIF text.

    Args:
        text: What it says, without quotes.
        line: Number of its line, from 1.
        quoted: Whether it stands in quotes or is a text field, and so is a value.
    """

    text: str
    line: int
    quoted: bool = False

    @property
    def keyword(self) -> str:
        """The word in lower case; empty for a quoted value."""
        return "" if self.quoted else self.text.lower()

    @property
    def is_value(self) -> bool:
        """Whether it is no tag, data heading or other keyword."""
        word = self.keyword
        return not (word.startswith(("_", "data_", "save_")) or word in _RESERVED)

    @property
    def value(self) -> Value:
        """What it says as a value."""
        return None if self.text in ("?", ".") and not self.quoted else self.text.strip()


_RESERVED = ("loop_", "global_", "stop_")


@dataclass
class Block:
    """A data block.

    Args:
        name: Behind `data_`.
        items: Values by tag, in lower case and with underscores.
        loops: Tags and rows' values in the order of the file.
    """

    name: str
    items: dict[str, Value] = field(default_factory=dict)
    loops: list[tuple[list[str], list[Value]]] = field(default_factory=list)

    def value(self, *tags: str) -> Value:
        """The first value that one of these tags has; of a loop, that of its first row."""
        for tag in tags:
            found = self.items.get(tag)
            if found is None:
                found = next((v for v in self.column(tag) or () if v is not None), None)
            if found is not None:
                return found
        return None

    def has(self, *tags: str) -> bool:
        """Whether it has one of these tags, with a value or without."""
        return any(t in self.items or any(t in names for names, _ in self.loops) for t in tags)

    def column(self, *tags: str) -> list[Value] | None:
        """The values of the first of these tags that the block has; None if it has none of them.

        Raises:
            InputError: If the loop has a row that is not complete.
        """
        for tag in tags:
            for names, values in self.loops:
                if tag in names:
                    if len(values) % len(names):
                        raise InputError(
                            f"The loop of {tag} has {len(names)} columns and {len(values)} values, "
                            "which are no whole rows. A value is missing, or one with spaces has "
                            "no quotes."
                        )
                    return values[names.index(tag) :: len(names)]
            if tag in self.items:
                return [self.items[tag]]
        return None


def blocks_of(text: str) -> list[Block]:
    """The data blocks of a CIF text, save frames left out.

    Raises:
        InputError: If a text field has no end, or values belong to no tag and no loop, as where a
            loop is interrupted.
    """
    found: list[Block] = []
    tokens = list(_tokens(text))
    i = 0
    while i < len(tokens):
        token = tokens[i]
        word = token.keyword
        i += 1
        if word.startswith("data_"):
            found.append(Block(token.text[len("data_") :]))
        elif word.startswith("save_") and word != "save_":
            while i < len(tokens) and tokens[i].keyword != "save_":
                i += 1
        elif not found:
            continue
        elif word == "loop_":
            end = _end(tokens, i, lambda t: t.keyword.startswith("_"))
            names = [_tag(t) for t in tokens[i:end]]
            i = _end(tokens, end, lambda t: t.is_value)
            if names:
                found[-1].loops.append((names, [t.value for t in tokens[end:i]]))
        elif word.startswith("_"):
            end = _end(tokens, i, lambda t: t.is_value)
            found[-1].items.setdefault(_tag(token), _joined(tokens[i:end]))
            i = end
    return found


def _end(tokens: Sequence[Token], start: int, belongs: Callable[[Token], bool]) -> int:
    """Where the run of tokens that belong together ends."""
    while start < len(tokens) and belongs(tokens[start]):
        start += 1
    return start


def _tag(token: Token) -> str:
    return token.keyword.replace(".", "_")


def _joined(values: Sequence[Token]) -> Value:
    """The value of an item; of several words without quotes, those of its line.

    Raises:
        InputError: If there are more values.
    """
    if not values:
        return None
    words = [t.text for t in values if t.line == values[0].line]
    if len(words) < len(values):
        stray = values[len(words)]
        raise InputError(
            f"Line {stray.line} begins with {stray.text[:40]!r}, a value that belongs to no tag "
            "and no loop. A tag may stand inside of a loop, or a quote may be missing."
        )
    return values[0].value if len(words) == 1 else " ".join(words)


def _tokens(text: str) -> Iterator[Token]:
    lines = text.removeprefix("\ufeff").splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if not line.startswith(";"):
            for match in _TOKEN.finditer(line):
                kind = match.lastgroup
                if kind is not None and kind != "comment":
                    yield Token(match[kind], number, kind != "word")
            continue
        start, content = number, [line[1:]]
        while number < len(lines) and not lines[number].startswith(";"):
            content.append(lines[number])
            number += 1
        if number == len(lines):
            raise InputError(
                f"The text field that begins in line {start} has no end; a line that begins with ; "
                "must close it."
            )
        yield Token("\n".join(content), start, quoted=True)
        lines[number] = lines[number][1:]  # values may follow the closing semicolon
