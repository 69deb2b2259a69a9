"""Bars are shown in notebooks, whose output is no terminal, and nowhere else without one."""

import sys
from types import ModuleType

import pytest

from ase_crysdiff.progress import tqdm


@pytest.fixture
def notebook(monkeypatch):
    shell = type("ZMQInteractiveShell", (), {})()
    module = ModuleType("IPython")
    module.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setattr("tqdm.auto.tqdm", sys.modules["tqdm.std"].tqdm, raising=False)


def test_no_bar_where_nobody_sees_it(capsys):
    assert list(tqdm(range(3))) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_bar_in_a_notebook(notebook, capsys):
    assert list(tqdm(range(3), desc="cells")) == [0, 1, 2]
    assert "cells" in capsys.readouterr().err
    assert list(tqdm(range(3), disable=True)) == [0, 1, 2]
    assert capsys.readouterr().err == ""
