"""What every benchmark has: options that Python and the command line share, what it is given, and
what it returns.

A benchmark is a function of its options, registered as a `Benchmark` under a name in the group
`ase_crysdiff.benchmarks`. It measures, writes one JSON file with everything that its numbers depend
on, and returns them; it prints nothing. This module and the options are light, so that the
command line can read them without loading a network.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ase_crysdiff.sampling.request import SampleRequest
    from ase_crysdiff.sampling.sampler import Sampler


class StructureSource(Protocol):
    """What benchmarks ask of a sampler of structures, such as `pymatgen_ext.StructureSampler`."""

    name: str
    weights: str | None
    device: str

    @property
    def max_atoms(self) -> int | None:
        """Largest cell that the sampler was trained on; None if it does not say."""
        ...

    @property
    def version(self) -> str:
        """First digits of the weights' digest; empty if the sampler has no card."""
        ...

    @property
    def sampler(self) -> "Sampler":
        """The sampler behind the name."""
        ...

    def check(self, request: "SampleRequest") -> None:
        """Raises IncompatibleError or InputError if the sampler cannot serve a request."""
        ...


class Prepared(Protocol):
    """A host and its guests, turned into a request."""

    @property
    def request(self) -> "SampleRequest":
        """What is asked of the sampler."""
        ...


@dataclass(frozen=True, kw_only=True)
class DrawingOptions:
    """Options of every benchmark that draws.

    Args:
        seed: of all draws
        steps: steps of the reverse process; default as in the card
        batch_size: crystals computed together; default 64 on a CPU, 512 on a GPU
        workers: isolated processes for comparing, and if there are several also for sampling on a
            CPU; 0 computes in this one
        keep: folder that keeps the draws, so that more can follow
        output: JSON file of the result
    """

    seed: int = 0
    steps: int | None = None
    batch_size: int | None = None
    workers: int = 1
    keep: Path | None = None
    output: Path


@dataclass(frozen=True, kw_only=True)
class PredictionOptions(DrawingOptions):
    """Options of every benchmark that draws several samples for each of its targets.

    Args:
        samples: samples for each target
        timeout: processor seconds for one comparison
    """

    samples: int = 1
    timeout: float = 10.0


@dataclass(frozen=True, kw_only=True)
class CompositionOptions(PredictionOptions):
    """Options of every benchmark that asks for structures of compositions.

    Args:
        unknown: crystals of just this formula in a sampler's own library are no answers
        plain: no scaffold is proposed, so that the symmetry is left open
    """

    unknown: bool = False
    plain: bool = False


@dataclass(frozen=True)
class BenchmarkResult:
    """What a benchmark has measured.

    Args:
        content: Numbers and everything that they depend on, as the JSON file holds them.
        text: A table for people.
        path: The JSON file, or the folder of several; None if nothing was written.
    """

    content: Mapping[str, Any]
    text: str
    path: Path | None


@dataclass(frozen=True)
class Benchmark:
    """An entry of the table of benchmarks.

    Args:
        measure: The benchmark: takes its options and, by keyword, what `needs` names.
        options: The class of its options, a dataclass whose docstring explains each in one line.
        summary: What it measures, in half a line.
        needs: What it must be given beside its options, among "sampler" (a `StructureSource`),
            "molecule_sampler" (a `pymatgen_ext.MoleculeSampler`),
            "guidance" (name of a potential and guidance scale -> a condition), "prepare" (`check`,
            host and guests -> `Prepared`, with the keywords of `StructureSampler.inpaint`),
            "evaluate" (structures -> metrics by name, with the keywords of
            `pymatgen_ext.evaluate`) and "calculator" (a potential -> an ASE calculator).
    """

    measure: Callable[..., BenchmarkResult]
    options: type
    summary: str
    needs: tuple[str, ...] = ()

    def __call__(self, options: Any, **given: Any) -> BenchmarkResult:
        """Measures.

        Args:
            options: Of the class `options`.
            given: What `needs` names.
        """
        return self.measure(options, **given)
