"""Tables of the pages are those of the committed result files, which hold for what ships."""

import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from ase_crysdiff.campaigns.benchmark.suite.entries import shipped_suite
from ase_crysdiff.campaigns.benchmark.suite.result_file import Earlier, ResultFile
from ase_crysdiff.campaigns.benchmark.suite.rows import Row
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.weights import find, read_card

ROOT = Path(__file__).parents[2]


def load_tool():
    spec = spec_from_file_location("fill_pages", ROOT / "tools/fill_pages.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look for themselves there
    spec.loader.exec_module(module)
    return module


tool = load_tool()
NAMES = sorted(path.stem for path in tool.TABLES.glob("*.md"))
RESULTS = sorted(path.stem for path in tool.RESULTS.glob("*.json"))

#: What a table of each kind cannot do without.
NEEDED = {
    "structure prediction": ["csp-prototypes-unknown"],
    "structure prediction, of Perov-5": ["perov-prototypes"],
    "new crystals": ["denovo-prototypes", "denovo-random-exchange"],
    "frameworks": ["frameworks-random-assembly"],
}


@pytest.fixture(scope="module")
def tables():
    """All tables, filled."""
    made = {}
    for name in NAMES:
        table = tool.Filled(name)
        made[name] = (table, table.text())
    return made


@pytest.mark.parametrize("page", list(tool.pages()), ids=lambda p: p.name)
def test_pages_are_those_of_the_files(page):
    text = page.read_text()
    assert tool.filled(text) == text, "python tools/fill_pages.py fills the pages anew"


def test_every_table_is_shown_and_every_section_closed():
    texts = [page.read_text() for page in tool.pages()]
    shown = [found[2] for text in texts for found in tool.SECTION.finditer(text)]
    assert sorted(set(shown)) == NAMES
    lines = [line for text in texts for line in text.splitlines()]
    assert sum(line.startswith("<!-- table: ") for line in lines) == len(shown)


def test_the_list_says_which_tables_show_a_benchmark(tables):
    used = {name: set() for name in (entry.name for entry in shipped_suite().entries)}
    for name, (table, _) in tables.items():
        for benchmark in table.used:
            used[benchmark].add(name)
    said = {entry.name: set(entry.tables) for entry in shipped_suite().entries}
    assert said == used


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_of_what_ships(name):
    assert tool.result(name).rows


def test_no_generator_stands_without_the_lookup_and_the_exchange(tables):
    for name, (table, _) in tables.items():
        needed = NEEDED.get(table.kind, [])
        assert set(needed) <= set(table.used), f"{name} lacks {needed}"
    for name, generators in (
        ("csp-", "csp-prototypes-unknown"),
        ("mpts-", "mpts-prototypes-unknown"),
        ("perov-", "perov-prototypes"),
        ("denovo-", "denovo-random-exchange"),
        ("frameworks-", "frameworks-random-assembly"),
    ):
        of_kind = [one for one in RESULTS if one.startswith(name)]
        assert of_kind
        assert generators in of_kind


def test_predictors_stand_beside_a_constant_and_a_forest(tables):
    ours = [one for one in RESULTS if one.startswith("predictor-")]
    assert ours
    for name in ours:
        rows = tool.result(name).rows
        assert {"results/MAE of constant", "results/MAE of forest"} < set(rows)
    rows = tool.result("properties").rows
    tasks = {path.split("/")[1] for path in rows}
    for task in tasks:
        assert {f"results/{task}/{one}/mean" for one in ("constant", "forest")} <= set(rows)
    for name, (table, text) in tables.items():
        if table.kind == "predictors":
            head, *lines = text.splitlines()
            said = " ".join([head, *(line.split("|")[1] for line in lines)])  # columns or rows
            assert "forest" in said, name
            assert "median" in said or "constant" in said, name


def test_dao_p_stands_beside_chgnet_and_sevennet(tables):
    for name in ("potentials-solids", "potentials-forces"):
        figures = {}
        for path in tool.result(name).rows:
            figure, _, potential = path.rpartition("/")
            figures.setdefault(figure, set()).add(potential)
        both = sum({"dao-p", "chgnet", "sevennet-l3i5"} <= there for there in figures.values())
        assert both >= len(figures) - 1  # SevenNet does not reach free atoms of crystals
        assert tables[name][0].kind == "potentials"


def test_the_readme_has_the_rows_that_a_network_must_beat(tables):
    table, text = tables["readme"]
    assert {"csp-prototypes-unknown", "denovo-random-exchange", "perov-prototypes"} <= set(
        table.used
    )
    assert "the median" in text
    assert "a forest" in text
    assert "CHGNet" in text


def write_table(folder, result, text):
    (folder / "table.md").write_text(text)
    result.write(folder / f"{result.benchmark}.json")
    return tool.Filled("table", folder, folder)


@pytest.fixture
def fresh():
    """A result file of what ships."""
    return next(r for r in map(tool.result, RESULTS) if r.earlier is None and r.weights)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weights": {}}, "weights of .* not said, now"),
        ({"version": "0.1.7"}, "its version is 0.1.7, now"),
        ({"quick": True}, "quick trial"),
        ({"command": "crysdiff benchmark csp other"}, "its command is"),
    ],
    ids=["weights", "version", "quick", "command"],
)
def test_results_of_something_else_are_refused(fresh, change, said, tmp_path):
    table = write_table(tmp_path, replace(fresh, **change), f"{{{{ steps('{fresh.benchmark}') }}}}")
    with pytest.raises(InputError, match=said):
        table.text()


def test_results_on_other_data_are_refused(tmp_path):
    (name,) = [n for n in RESULTS if n == "csp-prototypes"]
    known = tool.result(name)
    other = {file: "0" * 16 for file in shipped_suite().sources(shipped_suite().chosen([name])[0])}
    table = write_table(tmp_path, replace(known, data=other), "{{ steps('csp-prototypes') }}")
    with pytest.raises(InputError, match=r"its data mp/test_mp20.* is 000000000000, now"):
        table.text()


def test_figures_of_earlier_weights_need_their_mark(fresh, tmp_path):
    row = next(iter(fresh.rows))
    old = replace(fresh, weights={}, earlier=Earlier("¶", "with other weights"))
    asked = f"{{{{ f('{fresh.benchmark}', '{row}') | four }}}}"
    with pytest.raises(InputError, match="measured with other weights, and lacks its mark ¶"):
        write_table(tmp_path, old, asked).text()
    marked = write_table(tmp_path, old, asked + " ¶").text()
    assert marked.endswith("¶\n\n¶ with other weights.\n")


def shown_in_text(result, filter_and_row, monkeypatch):
    monkeypatch.setattr(tool, "result", lambda name, folder=None: result)
    name, row = filter_and_row
    return tool.filled(f"It is <!-- = {name} {result.benchmark} {row} -->old<!-- . --> %.")


def test_figures_in_the_text_are_filled(fresh, monkeypatch):
    result = replace(fresh, rows={"by kind/> 10/rate": Row(0.12345, (0.1, 0.2))})
    row = "by kind/> 10/rate"
    for name, said in (
        ("share", "12.3"),
        ("share:0", "12"),
        ("num:2", "0.12"),
        ("ci", "10.0-20.0"),
    ):
        text = shown_in_text(result, (name, row), monkeypatch)
        assert text == f"It is <!-- = {name} {result.benchmark} {row} -->{said}<!-- . --> %."
        assert tool.filled(text) == text
    with pytest.raises(InputError, match="there is no filter 'percent', but share, ci"):
        shown_in_text(result, ("percent", row), monkeypatch)
    with pytest.raises(InputError, match="has no figure 'nothing'"):
        shown_in_text(result, ("share", "nothing"), monkeypatch)


def test_figures_of_cards_stand_in_the_text():
    row = read_card(find("tc")).measured["results"]["MAE"]
    text = tool.filled("off by <!-- = num:2 card:tc MAE -->old<!-- . --> K")
    assert text == f"off by <!-- = num:2 card:tc MAE -->{row['value']:.2f}<!-- . --> K"
    with pytest.raises(InputError, match="the card of tc has no figure 'nothing'"):
        tool.filled("<!-- = num card:tc nothing --><!-- . -->")


def test_figures_in_the_text_say_that_they_are_of_earlier_weights(fresh, monkeypatch):
    old = replace(fresh, rows={"rate": Row(0.5)}, earlier=Earlier("¶", "with other weights"))
    text = shown_in_text(old, ("share", "rate"), monkeypatch)
    assert '-->50.0<abbr title="with other weights">¶</abbr><!--' in text
    assert tool.filled(text) == text


def test_what_misses_its_must_is_bold():
    assert [tool.least(v, 74) for v in ("74.0", "73.9")] == ["74.0", "**73.9**"]
    assert [tool.most(v, 0.06) for v in ("0.060", "0.061")] == ["0.060", "**0.061**"]


def test_figures_that_do_not_exist_are_refused(fresh, tmp_path):
    table = write_table(tmp_path, fresh, f"{{{{ f('{fresh.benchmark}', 'nothing') | four }}}}")
    with pytest.raises(InputError, match="has no figure 'nothing'"):
        table.text()


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "csp-dao-g.json"
    path.write_text('{"format": 2}')
    with pytest.raises(InputError, match=r"csp-dao-g.json has format 2, and 1 is read"):
        ResultFile.read(path)
    path.write_text("[")
    with pytest.raises(InputError, match="cannot be read as a result file"):
        ResultFile.read(path)


def test_halves_are_rounded_up():
    assert [tool.rounded(v, 1, 100) for v in (0.7505, 0.70492, 0.0005)] == ["75.1", "70.5", "0.1"]


def test_training_curves_are_drawn_from_their_lines():
    spec = spec_from_file_location("draw_training", ROOT / "tools/draw_training.py")
    draw = module_from_spec(spec)
    spec.loader.exec_module(draw)
    curves = draw.curves()
    assert sum(map(len, curves.values())) == len(tool.training())
    drawn = [axis for axis in draw.draw().axes if axis.lines]
    assert [len(axis.lines[0].get_xdata()) for axis in drawn] == [len(c) for c in curves.values()]
    assert draw.PICTURE.read_bytes().startswith(b"\x89PNG")
    page = (ROOT / "docs/explanation/training.md").read_text()
    assert "](../training.png)" in page
