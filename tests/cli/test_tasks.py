"""`crysdiff tasks`."""

import json

from ase_crysdiff.cli.main import main
from ase_crysdiff.tasks import TASKS


def test_every_task_has_a_line(capsys):
    assert main(["tasks"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split() == ["task", "learned", "in", "rows", "splits", "here"]
    assert [line.split()[0] for line in lines] == [one.name for one in TASKS]


def test_programs_get_sources_too(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CRYSDIFF_DATA", str(tmp_path))
    assert main(["tasks", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {one["name"]: one["unit"] for one in content} == {t.name: t.unit for t in TASKS}
    assert not any(one["is_here"] for one in content)
    assert all(one["source"] and one["licence"] for one in content)
