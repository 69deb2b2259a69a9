"""Options of the command line from the fields of a dataclass."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

from ase_crysdiff import registry
from ase_crysdiff.campaigns.curation.options import CurationOptions
from ase_crysdiff.campaigns.relaxing import RelaxOptions
from ase_crysdiff.cli.fields import add_fields, explanations, read_fields


@dataclass(frozen=True, kw_only=True)
class Base:
    """Options of everything.

    Args:
        seed: of all draws
        output: where to
    """

    seed: int = 0
    output: Path


@dataclass(frozen=True, kw_only=True)
class Options(Base):
    """Options of one thing.

    A second paragraph, with a colon: not an option.

    Args:
        name: Of the model, whose explanation is so long that it must go on
            in a second line.
        limit: at most 10 % of them
        times: when
        files: which files
        loud: whether to shout
    """

    name: str
    limit: int | None = None
    times: tuple[float, ...] = (0.0, 0.5)
    files: tuple[Path, ...] = ()
    loud: bool = False
    output: Path = Path("out.json")


def parse(*words):
    parser = argparse.ArgumentParser()
    add_fields(parser, Options)
    return read_fields(parser.parse_args(words), Options)


def test_defaults_are_those_of_the_dataclass():
    assert parse("miad") == Options(name="miad")


def test_every_kind_of_field_is_read():
    words = "miad --seed 3 --limit 5 --times 0.1 1 --files a b --loud -o x.json"
    assert parse(*words.split()) == Options(
        name="miad",
        seed=3,
        limit=5,
        times=(0.1, 1.0),
        files=(Path("a"), Path("b")),
        loud=True,
        output=Path("x.json"),
    )


@pytest.mark.parametrize("words", ["", "miad --limit many", "miad --times", "miad --unknown 1"])
def test_wrong_usage_exits(words, capsys):
    with pytest.raises(SystemExit):
        parse(*words.split())


def test_docstrings_are_the_help(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "of the model, whose explanation is so long that it must go on in a second line" in text
    assert "at most 10 % of them" in text
    assert "when (default 0.0 0.5)" in text
    assert "where to (default out.json)" in text
    assert "--seed SEED of all draws" in text


def test_required_options_are_required_and_text_may_be_one(capsys):
    parser = argparse.ArgumentParser()
    add_fields(parser, Base)
    assert parser.parse_args(["-o", "x"]).output == Path("x")
    with pytest.raises(SystemExit):
        parser.parse_args([])
    parser = argparse.ArgumentParser()
    add_fields(parser, Options, skip=("times",), positional=False)
    found = read_fields(parser.parse_args(["--name", "miad"]), Options, times=(1.0,))
    assert found == Options(name="miad", times=(1.0,))


@dataclass(frozen=True, kw_only=True)
class Several:
    """Options with several names.

    Args:
        names: of the models
        only: parts of them
    """

    names: tuple[str, ...]
    only: tuple[str, ...] = ()


def test_several_texts_without_a_default_are_positional(capsys):
    parser = argparse.ArgumentParser()
    add_fields(parser, Several)
    found = read_fields(parser.parse_args(["miad", "dao-g", "--only", "a", "b"]), Several)
    assert found == Several(names=("miad", "dao-g"), only=("a", "b"))
    with pytest.raises(SystemExit):
        parser.parse_args(["--only", "a"])


BENCHMARKS = [registry.load(registry.BENCHMARKS, n) for n in registry.names(registry.BENCHMARKS)]


@pytest.mark.parametrize(
    "options",
    [CurationOptions, RelaxOptions, *(b.options for b in BENCHMARKS)],
    ids=lambda options: options.__name__,
)
def test_every_option_is_explained(options):
    explained = explanations(options)
    assert explained.keys() == set(options.__dataclass_fields__)
    assert all(len(text) > 5 for text in explained.values())
