import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from ase_crysdiff import registry
from ase_crysdiff.errors import InputError, PluginError, UnknownNameError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "crysdiff-random-cells"


def add_distribution(folder, name, version, entries):
    """An installed distribution as importlib.metadata sees it."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"[{registry.SAMPLERS}]", *[f"{k} = {v}" for k, v in entries.items()]]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A good plugin, one that cannot be imported, one that leaves the program, and a clash."""
    add_distribution(tmp_path, "good", "1.0", {"fine": "goodmodule:make"})
    add_distribution(
        tmp_path, "bad", "2.3", {"broken": "badmodule:make", "leaves": "exitmodule:make"}
    )
    add_distribution(tmp_path, "thief", "0.1", {"miad": "goodmodule:make"})
    (tmp_path / "goodmodule.py").write_text("def make(weights, device):\n    return 'good'\n")
    (tmp_path / "badmodule.py").write_text("import a_package_that_does_not_exist\n")
    (tmp_path / "exitmodule.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.refresh()
    yield
    registry.refresh()


def test_broken_plugins_harm_nobody_else(plugins):
    assert {"fine", "broken", "leaves", "dao-g-perov5"} <= set(registry.names(registry.SAMPLERS))
    assert registry.load(registry.SAMPLERS, "fine")(None, "cpu") == "good"
    for name in ("broken", "leaves"):
        with pytest.raises(PluginError, match=rf"{name} from bad 2\.3 .*cannot be imported"):
            registry.load(registry.SAMPLERS, name)
    assert callable(registry.load(registry.SAMPLERS, "dao-g-perov5"))


def test_duplicates_are_refused_until_the_owner_is_named(plugins):
    with pytest.raises(
        PluginError, match=r"ase-crysdiff 0\.1.*thief 0\.1|thief 0\.1.*ase-crysdiff"
    ):
        registry.load(registry.SAMPLERS, "miad")
    assert registry.load(registry.SAMPLERS, "thief:miad")(None, "cpu") == "good"
    assert registry.load(registry.SAMPLERS, "ase-crysdiff:miad") is not None


@pytest.mark.parametrize(
    ("wrong", "right"), [("maid", "miad"), ("MIADD", "miad"), ("dao-g-perov", "dao-g-perov5")]
)
def test_unknown_names_suggest_close_ones(wrong, right):
    with pytest.raises(UnknownNameError, match=f"Did you mean '{right}'"):
        registry.load(registry.SAMPLERS, wrong)


@pytest.mark.parametrize("name", ["", "ü" * 300, "../miad", "miad\x00", "  "])
def test_odd_names_are_unknown_names(name):
    with pytest.raises(UnknownNameError, match="Known:"):
        registry.load(registry.SAMPLERS, name)


def test_what_is_no_text_is_no_name():
    for look_up in (registry.check, registry.load):
        with pytest.raises(InputError, match=r"name of a sampler must be text, got NoneType.*miad"):
            look_up(registry.SAMPLERS, None)


def test_only_names_that_an_old_installation_lacks_ask_for_a_new_one(tmp_path, monkeypatch):
    add_distribution(
        tmp_path, "ase_crysdiff", "0.1.0", {"miad": "ase_crysdiff.sampling.loading:miad"}
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.refresh()
    try:
        with pytest.raises(UnknownNameError, match="install ase-crysdiff again"):
            registry.load(registry.SAMPLERS, "dao-g")
        with pytest.raises(UnknownNameError, match=r"Known: [\w, -]+\.$"):
            registry.load(registry.SAMPLERS, "maid")
    finally:
        registry.refresh()


def test_names_for_one_process():
    registry.register(registry.SAMPLERS, "Mine", lambda weights, device: "mine")
    try:
        assert "mine" in registry.names(registry.SAMPLERS)
        assert registry.load(registry.SAMPLERS, "MINE")(None, "cpu") == "mine"
        with pytest.raises(PluginError, match="already registered"):
            registry.register(registry.SAMPLERS, "miad", lambda: None)
    finally:
        registry.unregister(registry.SAMPLERS, "mine")
    assert "mine" not in registry.names(registry.SAMPLERS)


def test_importing_the_packages_imports_nothing_heavy():
    code = (
        "import sys, ase_crysdiff, pymatgen_ext, calculators\n"
        "from ase_crysdiff import registry\n"
        "assert 'miad' in registry.names(registry.SAMPLERS)\n"
        "print([m for m in ('torch', 'pymatgen.core', 'ase', 'numpy', 'pandas') if m in "
        "sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_example_plugin_is_installed_and_samples(tmp_path):
    """The example as a user installs it, beside this environment's packages."""
    target = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(target),
        str(EXAMPLE),
    ]
    subprocess.run(install, check=True, capture_output=True)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pymatgen_ext import StructureSampler, available_samplers\n"
        "assert 'random-cells' in available_samplers(), available_samplers()\n"
        "s = StructureSampler('random-cells')\n"
        "a = s.sample(5, composition='SrTiO3', seed=1, batch_size=2, progress=False)\n"
        "b = s.sample(5, composition='SrTiO3', seed=1, batch_size=5, progress=False)\n"
        "assert list(a) == list(b) and len(a) + len(a.report.failed) == 5\n"
        "assert {x.composition.formula for x in a} <= {'Sr1 Ti1 O3'}\n"
        "try: s.sample(1)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "IncompatibleError" in done.stdout
    assert sysconfig.get_paths()["purelib"] not in str(target)


def test_shipped_predictors_are_found_by_their_cards_and_others_may_claim_their_names(
    tmp_path, monkeypatch
):
    assert {"formation-energy", "band-gap"} <= set(registry.shipped(registry.PREDICTORS))
    assert registry.shipped(registry.SAMPLERS) == ()
    assert callable(registry.load(registry.PREDICTORS, "band-gap"))
    origin = {p.name: p for p in registry.plugins(registry.PREDICTORS)}["band-gap"]
    assert origin.distribution == "ase-crysdiff"
    assert origin.value.startswith("ase_crysdiff.predictors.shipped:")

    info = tmp_path / "rival-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{registry.PREDICTORS}]\nband-gap = rivalmodule:make\nmass = rivalmodule:make\n"
    )
    (tmp_path / "rivalmodule.py").write_text("def make(weights, device):\n    return 'rival'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.refresh()
    try:
        assert registry.load(registry.PREDICTORS, "mass")(None, "cpu") == "rival"
        with pytest.raises(PluginError, match=r"claimed by several .*ask for|Ask for"):
            registry.load(registry.PREDICTORS, "band-gap")
        assert registry.load(registry.PREDICTORS, "rival:band-gap")(None, "cpu") == "rival"
        assert registry.load(registry.PREDICTORS, "ase-crysdiff:band-gap") is not None
    finally:
        registry.refresh()


def test_the_maker_of_something_that_does_not_ship_is_no_attribute():
    from ase_crysdiff.predictors import shipped

    with pytest.raises(AttributeError, match="no_such_property"):
        shipped.no_such_property  # noqa: B018
