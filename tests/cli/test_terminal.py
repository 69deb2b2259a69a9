"""What holds for the whole command line: examples, exit codes, JSON, completion, defaults."""

import argparse
import json
import shlex
import shutil
import subprocess
import sys

import pytest

from ase_crysdiff import registry
from ase_crysdiff.cli import completion, convert, doctor, list
from ase_crysdiff.cli.examples import EXAMPLES
from ase_crysdiff.cli.main import COMMANDS, main, whole_parser
from ase_crysdiff.models.conversion import FAMILIES


def test_every_command_has_examples_that_are_understood():
    assert EXAMPLES.keys() == COMMANDS.keys()
    parser = whole_parser()
    for command, examples in EXAMPLES.items():
        assert examples
        for typed, meaning in examples:
            words = shlex.split(typed.partition(" > ")[0])
            assert words[0] == command
            assert callable(parser.parse_args(words).run)
            assert meaning


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    out = capsys.readouterr().out
    assert "examples:\n  crysdiff predict band-gap my_cifs/ -o gaps.csv\n" in out
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert "130  interrupted" in out
    assert all(f"    {name}" in out for name in COMMANDS)


def test_defaults_are_those_of_the_commands():
    from pymatgen_ext.discovery import SAMPLERS

    (group,) = [a for a in whole_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    found = {("sampler", name): {"discover"} for name in SAMPLERS}
    for command, parser in group.choices.items():
        for action in parser._actions:
            if action.dest in ("sampler", "potential") and isinstance(action.default, str):
                found.setdefault((action.dest, action.default), set()).add(command)
    assert {part: set(commands) for part, commands in list.DEFAULTS.items()} == found


def test_list_as_json(capsys):
    assert main(["list", "--json"]) == 0
    parts = json.loads(capsys.readouterr().out)
    assert {p["kind"] for p in parts} == {
        registry.kind_of(g) for g in registry.GROUPS if registry.names(g)
    }
    (miad,) = [p for p in parts if (p["kind"], p["name"]) == ("sampler", "miad")]
    assert miad["purpose"].startswith("MiAD: de novo crystals")
    assert miad["card"].endswith("M parameters")
    assert miad["default_of"] == ["vary"]
    for part in parts:
        assert part["purpose"] or part["card"], f"nobody says what {part['name']} is for"


def test_doctor_as_json(capsys):
    code = main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == (1 if found["problems"] else 0)
    assert found["libraries"]["ase"]
    assert found["devices"][0] == "cpu"
    assert {"completion", "workflows", "sevennet"} <= found["extras"].keys()
    assert "dev" not in found["extras"]
    assert any(p["name"] == "dao-p" and not p["note"] for p in found["parts"])


def test_doctor_tells_of_threads(monkeypatch):
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert "8: small networks gain little" in doctor._threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert doctor._threads() == "1"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_options_and_names(shell, capsys):
    pytest.importorskip("shtab", reason="needs the extra completion")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*COMMANDS, "chemical-system", "dao-g-flow", "dao-p"):
        assert word in script
    if found := shutil.which(shell):
        checked = subprocess.run([found, "-n"], input=script, text=True, capture_output=True)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes(tmp_path, capsys):
    pytest.importorskip("shtab", reason="needs the extra completion")
    main(["completion", "bash"])
    script = tmp_path / "completion"
    script.write_text(capsys.readouterr().out)
    asked = (
        f"source {script}; COMP_WORDS=(crysdiff sample mi); COMP_CWORD=2; "
        "made=$(complete -p crysdiff | sed 's/.*-F //; s/ .*//'); "
        "$made crysdiff mi sample; echo ${COMPREPLY[@]}"
    )
    found = subprocess.run(["bash", "-c", asked], text=True, capture_output=True, check=True)
    assert found.stdout.split() == ["miad"]


def test_completion_without_shtab_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert "pip install 'ase-crysdiff[completion]'" in capsys.readouterr().err


def test_names_of_families_are_those_that_there_are():
    assert set(convert.FAMILIES) == set(FAMILIES)
    assert set(completion.SHELLS) >= {"bash", "zsh", "fish"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["relax", "nowhere.cif"], 1, "nowhere.cif"),
        (["sample", "no-such-sampler"], 1, "no-such-sampler"),
        (["convert", "miad", "nowhere.pt", "-o", "out"], 1, "nowhere.pt"),
        (
            ["convert", "mattergen", "x", "-o", "out"],
            2,
            "cannot be 'mattergen', but one of diffcsp",
        ),
    ],
)
def test_exit_codes(words, code, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        found = main(words)
    except SystemExit as stop:
        found = stop.code
    streams = capsys.readouterr()
    assert found == code
    assert said in streams.err
    assert "Traceback" not in streams.err
