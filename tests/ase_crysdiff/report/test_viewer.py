"""Crystals in three dimensions: the data, the script, and what stands without it."""

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from html_pages import Page

from ase_crysdiff.pictures.scene import Scene
from ase_crysdiff.report.viewer import Viewer, inert
from ase_crysdiff.testing.crystals import prototypes

SCRIPTS = files("ase_crysdiff.report")


def data_of(html: str) -> list[dict]:
    block = re.search(r'<script type="application/json" id="crystals">(.*?)</script>', html, re.S)
    return json.loads(block[1])


def viewer(*names: str) -> Viewer:
    return Viewer(names, [prototypes()[name] for name in names])


@pytest.mark.parametrize("name", list(prototypes()))
def test_data_are_those_of_the_scene(name):
    (found,) = data_of(viewer(name).block())
    scene = Scene.of(prototypes()[name])
    atoms = np.array(found["atoms"])
    assert atoms[:, :3] == pytest.approx(scene.atoms, abs=5e-4)
    symbols = [found["elements"][int(k)][0] for k in atoms[:, 3]]
    assert sorted(set(symbols)) == sorted(e.symbol for e in prototypes()[name].composition)
    assert np.array(found["corners"]) == pytest.approx(scene.corners, abs=5e-4)
    assert found["bonds"] == scene.bonds.tolist()
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for _, colour, *_ in found["elements"])


def test_one_window_and_one_script_serve_all_crystals():
    shown = viewer("Cu", "NaCl", "SrTiO3")
    page = Page("".join([*(shown.drawing(k) for k in range(3)), shown.block()]))
    assert page.seen.count("dialog") == page.seen.count("canvas") == 1
    assert page.seen.count("script") == 2
    assert page.seen.count("svg") == 3  # drawings, which stand without the script
    assert page.unnamed == []
    assert Viewer([], []).block() == ""


def test_titles_cannot_leave_their_place():
    title = '</script><script>alert("x")</script>&<!--'
    shown = Viewer([title], [prototypes()["Cu"]])
    html = shown.drawing(0) + shown.block()
    assert Page(html).seen.count("script") == 2
    assert data_of(html)[0]["title"] == title
    assert "<" not in inert(["</script>", {"a<b": "<!--"}])
    assert json.loads(inert({"a<b": "\u2028"})) == {"a<b": "\u2028"}


def test_scripts_are_small_and_load_nothing():
    for name in ("viewer.js", "sorting.js"):
        text = SCRIPTS.joinpath(name).read_text(encoding="utf-8")
        assert len(text.encode()) < 15_000
        assert "MIT" in text
        for word in ("http", "import ", "fetch(", "XMLHttp", "eval(", "innerHTML", "</script"):
            assert word not in text


def test_every_button_has_an_action_and_a_name():
    html = viewer("Cu").block()
    script = SCRIPTS.joinpath("viewer.js").read_text(encoding="utf-8")
    actions = script[script.index("const ACTIONS") : script.index("dialog.addEventListener")]
    buttons = re.findall(r'<button type="button" data-key="(.)" aria-label="([^"]+)"', html)
    assert len(buttons) == html.count("<button") == 10
    for key, _ in buttons:
        assert re.search(rf'(\b|"){re.escape(key)}"?: ', actions)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_script_draws_turns_zooms_and_measures(tmp_path):
    data = tmp_path / "data.json"
    data.write_text(json.dumps(data_of(viewer("NaCl", "SrTiO3").block())), encoding="utf-8")
    check = Path(__file__).with_name("viewer_check.js")
    command = ["node", str(check), str(SCRIPTS.joinpath("viewer.js")), str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["balls", "turned", "nearer", "along", "measured", "next"]
