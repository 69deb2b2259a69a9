"""`crysdiff cite`: the works behind what was used."""

import re

import pytest

from ase_crysdiff import registry
from ase_crysdiff.cli.main import main
from ase_crysdiff.report.references import COMMON, named, works, works_of


def test_entries_are_complete():
    for key, entry in works().items():
        assert re.fullmatch(r"@\w+\{" + key + r",\n.*\n\}", entry, re.DOTALL)
        assert entry.count("{") == entry.count("}")
        for field in ("author", "title", "year"):
            assert f"{field} = " in entry, f"{key} has no {field}"


def test_every_name_leads_to_known_works():
    for name in named():
        assert set(works_of(name)) <= works().keys()
    # Whoever draws, relaxes or predicts with a part of ours is told what to cite.
    own = {p.name for g in (registry.SAMPLERS, registry.POTENTIALS, registry.PREDICTORS)
           for p in registry.plugins(g) if p.distribution == "ase-crysdiff"}  # fmt: skip
    # of others' weights; controls
    assert own - set(named()) == {"matgl", "random-assembly", "random-exchange"}


def test_cite(capsys):
    assert main(["cite", "miad", "dao-p"]) == 0
    keys = re.findall(r"^@\w+\{(\w+),", capsys.readouterr().out, re.MULTILINE)
    assert keys == [*COMMON, *dict.fromkeys((*works_of("miad"), *works_of("dao-p")))]
    assert main(["cite"]) == 0
    assert capsys.readouterr().out.count("\n@") == len(works()) - 1


def test_an_unknown_name_is_explained(capsys):
    assert main(["cite", "miat"]) == 1
    assert "Did you mean 'miad'?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["cite", "--all"])
