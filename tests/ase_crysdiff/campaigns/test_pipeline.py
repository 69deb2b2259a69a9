"""Pipelines: what is kept, what is computed again, what a failure costs."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.pipeline import Candidate, Pipeline, Step
from ase_crysdiff.errors import InputError

CUBE = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
calls: list[str] = []


@dataclass(frozen=True)
class Stretch(Step):
    factor: float = 1.1
    name: ClassVar[str] = "stretch"

    def each(self, candidate, survey):
        calls.append(f"stretch {candidate.key}")
        if candidate.record.get("bad"):
            raise InputError("it is bad")
        return [
            candidate.becomes(
                Structure(Lattice.cubic(4 * self.factor), ["Na", "Cl"], CUBE.frac_coords),
                factor=self.factor,
            )
        ]


@dataclass(frozen=True)
class Split(Step):
    count: int = 2
    stop_at: str | None = None
    name: ClassVar[str] = "split"

    @property
    def settings(self):
        return {"count": self.count}

    def survey(self, candidates):
        return {"total": len(candidates)}

    def each(self, candidate, survey):
        calls.append(f"split {candidate.key}")
        if candidate.key == self.stop_at:
            raise KeyboardInterrupt
        return [
            candidate.descendant(i, candidate.structure, of=survey["total"])
            for i in range(self.count)
        ]


@pytest.fixture
def three():
    calls.clear()
    return [Candidate(f"{i:04d}", CUBE, {"bad": i == 1}) for i in range(3)]


def test_one_failure_costs_one_candidate(three):
    result = Pipeline((Stretch(), Split())).run(three)
    assert [c.key for c in result.candidates] == ["0000.0", "0000.1", "0002.0", "0002.1"]
    assert result.failures == {"0001": "01-stretch: it is bad"}
    assert result.candidates[0].record == {"bad": False, "factor": 1.1, "of": 2}
    assert [c.key for c in result.after(0)] == ["0000", "0002"]
    assert result.candidates[3].number == 2


def test_a_killed_run_goes_on_and_every_intermediate_is_kept(three, tmp_path):
    whole = Pipeline((Stretch(), Split())).run(three)
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        Pipeline((Stretch(), Split(stop_at="0002"))).run(three, tmp_path)
    (tmp_path / "02-split" / "0000.json").write_text("torn")
    calls.clear()
    again = Pipeline((Stretch(), Split())).run(three, tmp_path)
    assert calls == ["split 0000", "split 0002"]
    assert again.candidates == whole.candidates
    assert again.failures == whole.failures
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.json")) == [
        "01-stretch/0000.json",
        "01-stretch/0001.json",
        "01-stretch/0002.json",
        "02-split/0000.json",
        "02-split/0002.json",
    ]


def test_other_settings_are_computed_anew(three, tmp_path):
    Pipeline((Stretch(), Split())).run(three, tmp_path)
    calls.clear()
    found = Pipeline((Stretch(), Split(count=1))).run(three, tmp_path)
    assert calls == ["split 0000", "split 0002"]
    assert len(found.candidates) == 2
    calls.clear()
    Pipeline((Stretch(1.2), Split(count=1))).run(three, tmp_path)
    assert len(calls) == 5  # what follows a changed step, too
