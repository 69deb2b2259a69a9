"""Fills the marked sections of the pages with figures of the committed result files.

python tools/fill_pages.py            writes the pages
python tools/fill_pages.py --check    writes nothing; says which pages differ, and ends with 1

A section stands between two comments, <!-- table: NAME --> and <!-- end of table -->; what is in it
is made of benchmarks/tables/NAME.md, a jinja2 template. There `f("BENCHMARK", "ROW")` is a figure
of benchmarks/results/BENCHMARK.json, for filters: `share` (of 1, in per cent), `ci` (its interval,
in per cent), `num(3)`, `numci(3)`, `n`; `mark("BENCHMARK")` stands where figures of earlier weights
are; `card("WEIGHTS", "ROW")` is a figure on the card of shipped weights, for the same filters. The
result files are those of `crysdiff benchmark all --out benchmarks/results`; one of other weights,
data or version is refused.
"""

import csv
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from ase_crysdiff.campaigns.benchmark.properties import published
from ase_crysdiff.campaigns.benchmark.suite.entries import shipped_suite
from ase_crysdiff.campaigns.benchmark.suite.result_file import ResultFile
from ase_crysdiff.campaigns.benchmark.suite.rows import Row
from ase_crysdiff.errors import CrysDiffError, InputError
from ase_crysdiff.models.weights import find, read_card
from ase_crysdiff.storage import write_text
from ase_crysdiff.tasks import tasks

ROOT = Path(__file__).parents[1]
RESULTS, TABLES = ROOT / "benchmarks/results", ROOT / "benchmarks/tables"
TRAINING = ROOT / "benchmarks/training.csv"
SECTION = re.compile(r"(<!-- table: ([\w-]+) -->\n\n)(.*?)\n?(<!-- end of table -->)", re.DOTALL)
IN_TEXT = re.compile(r"(<!-- = (\w+)(?::(\d))? (\S+) (.+?) -->)(.*?)(<!-- \. -->)")
KIND = re.compile(r"\{#-? kind: (.+?) -?#\}")
#: Stands in figures of the text before the name of weights, whose card has the figure.
CARD = "card:"


def pages() -> Iterator[Path]:
    """Every page that may have sections."""
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").rglob("*.md"))


def result(name: str, folder: Path = RESULTS) -> ResultFile:
    """The result file of a benchmark, which must be one of what ships today.

    Args:
        name: Of the benchmark.
        folder: Of the result files.

    Raises:
        InputError: If there is none, or it is of other weights, data or another version.
    """
    suite = shipped_suite()
    (entry,) = suite.chosen([name])
    path = folder / f"{name}.json"
    found = ResultFile.read(path)
    different = found.differences(entry, suite)
    if different:
        raise InputError(
            f"{path.name} does not hold for what ships: {'; '.join(different)}. Measure it again: "
            f"crysdiff benchmark all --only {name} --out benchmarks/results"
        )
    return found


@dataclass
class Filled:
    """A table that is being filled.

    Args:
        name: Of its template.
        tables: Folder of the templates.
        results: Folder of the result files.
        used: Result files that figures were taken from, by benchmark.
    """

    name: str
    tables: Path = TABLES
    results: Path = RESULTS
    used: dict[str, ResultFile] = field(default_factory=dict)

    @property
    def kind(self) -> str | None:
        """Of the table, as its template says in a comment; it tells which rows it must have."""
        said = KIND.search((self.tables / f"{self.name}.md").read_text(encoding="utf-8"))
        return None if said is None else said[1]

    def result(self, benchmark: str) -> ResultFile:
        """The result file of a benchmark, remembered as used."""
        if benchmark not in self.used:
            self.used[benchmark] = result(benchmark, self.results)
        return self.used[benchmark]

    def figure(self, benchmark: str, row: str) -> Row:
        """A figure, remembered as used.

        Raises:
            InputError: If there is none of that name.
        """
        found = self.result(benchmark)
        if row not in found.rows:
            raise InputError(f"{self.name}: {benchmark} has no figure {row!r}.")
        return found.rows[row]

    def card(self, weights: str, row: str) -> Row:
        """A figure of the card of shipped weights, such as that of a cross-validation.

        Raises:
            InputError: If there is none of that name.
        """
        results = read_card(find(weights)).measured["results"]
        if row not in results:
            raise InputError(f"{self.name}: the card of {weights} has no figure {row!r}.")
        found = results[row]
        interval = found.get("interval")
        return Row(found["value"], interval and tuple(interval), found.get("rows"))

    def mark(self, benchmark: str) -> str:
        """What stands behind what was measured with earlier weights; nothing behind the rest."""
        earlier = self.result(benchmark).earlier
        return "" if earlier is None else f" {earlier.mark}"

    def both(self, first: str, second: str, row: str) -> Row:
        """A share of the targets of two benchmarks together."""
        one, other = self.figure(first, row), self.figure(second, row)
        n, m = one.n or 0, other.n or 0
        return Row((_value(one) * n + _value(other) * m) / (n + m), None, n + m)

    def steps(self, benchmark: str) -> int:
        """Network evaluations of a draw."""
        found = self.result(benchmark).steps
        if found is None:
            raise InputError(f"{self.name}: {benchmark} does not say how many evaluations it took.")
        return found

    def wins(self, system: str) -> str:
        """On how many tasks a system errs less than a forest, and than published ones."""
        found = self.result("properties").rows
        others = ("forest", *(name for name in published.SYSTEMS if name != "JMP"))
        counts = dict.fromkeys(others, 0)
        for one in tasks("published"):
            error = _value(found[f"results/{one.name}/{system}/mean"])
            known = dict(zip(published.SYSTEMS, published.PUBLISHED[one.name], strict=True))
            known["forest"] = float(_value(found[f"results/{one.name}/forest/mean"]))
            for other in others:
                counts[other] += error < known[other]
        return " / ".join(map(str, counts.values()))

    def side_by_side(self, benchmark: str) -> str:
        """Potentials side by side: a column each, a row for each figure, sections in bold, and "-"
        where a potential has not answered.
        """
        found = self.result(benchmark).rows
        table: dict[str, dict[str, dict[str, str]]] = {}
        for path, row in found.items():
            section, _, rest = path.removeprefix("results/").partition("/")
            figure, _, potential = rest.rpartition("/")
            said = table.setdefault(section, {}).setdefault(figure, {})
            said[potential] = "-" if row.value is None else shown(row)
        names = list(dict.fromkeys(p for s in table.values() for r in s.values() for p in r))
        lines = [" | ".join(["", *names]), " | ".join(["---"] * (len(names) + 1))]
        for section, figures in table.items():
            lines.append(" | ".join([f"**{TITLES[section]}**", *([""] * len(names))]))
            for figure, values in figures.items():
                cells = [values.get(p, "-") for p in names]
                lines.append(" | ".join([figure.replace("|", r"\|"), *cells]))
        return "\n".join(f"| {line} |" for line in lines)

    def rendered(self, template: str) -> str:
        """A template with its figures."""
        environment = Environment(undefined=StrictUndefined)
        environment.filters |= FILTERS | MUSTS
        return environment.from_string(template).render(
            f=self.figure,
            card=self.card,
            mark=self.mark,
            both=self.both,
            steps=self.steps,
            wins=self.wins,
            training=training,
            side_by_side=self.side_by_side,
            tasks=tasks,
            published=published,
        )

    def text(self) -> str:
        """The table, and below it what its marks mean.

        Raises:
            InputError: If figures of earlier weights stand there without their mark.
        """
        filled = self.rendered((self.tables / f"{self.name}.md").read_text(encoding="utf-8"))
        filled = filled.strip("\n")
        notes: dict[str, dict[str, None]] = {}
        for name, found in self.used.items():
            if found.earlier is None:
                continue
            if found.earlier.mark not in filled:
                raise InputError(
                    f"{self.name} shows {name}, measured {found.earlier.why}, and lacks its mark "
                    f"{found.earlier.mark}."
                )
            notes.setdefault(found.earlier.mark, {})[found.earlier.why] = None
        said = "; ".join(f"{mark} {', '.join(whys)}" for mark, whys in sorted(notes.items()))
        return filled + (f"\n\n{said}.\n" if said else "\n")


def training() -> list[dict[str, str]]:
    """Blocks of trainings, with what they reached on validation data."""
    with TRAINING.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rounded(value: float | int, decimals: int, factor: int = 1) -> str:
    """A multiple of a number as people round it: halves go up."""
    step = Decimal(1).scaleb(-decimals)
    return str((factor * Decimal(repr(value))).quantize(step, ROUND_HALF_UP))


def share(row: Row, decimals: int = 1) -> str:
    """Per cent, without the sign."""
    return rounded(_value(row), decimals, 100)


def interval(row: Row, decimals: int = 1, factor: int = 100) -> str:
    """The ends of an interval."""
    if row.interval is None:
        raise InputError("There is no interval to show.")
    between = " to " if min(row.interval) < 0 else "-"
    return between.join(rounded(end, decimals, factor) for end in row.interval)


def number(row: Row, decimals: int = 3) -> str:
    """A number with so many decimals."""
    return rounded(_value(row), decimals)


def least(shown: str, must: float) -> str:
    """A number as it is shown, bold where it is less than it must be."""
    return shown if float(shown) >= must else f"**{shown}**"


def most(shown: str, must: float) -> str:
    """A number as it is shown, bold where it is more than it may be."""
    return shown if float(shown) <= must else f"**{shown}**"


def shown(row: Row) -> str:
    """A number with four digits."""
    return f"{_value(row):.4g}"


def _value(row: Row) -> float | int:
    if row.value is None:
        raise InputError("There is no value to show.")
    return row.value


#: Of the sections of potentials side by side.
TITLES = {
    "phonons": "phonon frequencies, against sevennet-l3i5",
    "solids": "equations of state of solids",
    "surfaces": "surfaces, against sevennet-l3i5",
    "vacancies": "vacancies, against sevennet-l3i5",
    "dissociation": "coming apart into free atoms",
    "polymorphs": "candidates of a composition, against sevennet-l3i5",
    "formation": "formation energies",
    "forces": "forces, energies, stresses, against sevennet-l3i5",
    "relaxation": "relaxing",
    "consistency": "consistency, largest error",
}
FILTERS: dict[str, Callable[..., str]] = {
    "share": share,
    "ci": interval,
    "num": number,
    "numci": lambda row, decimals=3: interval(row, decimals, 1),
    "n": lambda row: f"{row.n:,}",
    "four": shown,
}
#: Of numbers as they are shown, in tables of targets.
MUSTS: dict[str, Callable[[str, float], str]] = {"least": least, "most": most}


def in_text(found: re.Match[str]) -> str:
    """A figure of the text, between its comments, with the mark of earlier weights."""
    opening, name, decimals, benchmark, row, _, closing = found.groups()
    sentence = Filled("the text")
    if name not in FILTERS:
        raise InputError(f"the text: there is no filter {name!r}, but {', '.join(FILTERS)}.")
    digits = () if decimals is None else (int(decimals),)
    if benchmark.startswith(CARD):
        figure = sentence.card(benchmark.removeprefix(CARD), row)
        return opening + FILTERS[name](figure, *digits) + closing
    said = FILTERS[name](sentence.figure(benchmark, row), *digits)
    earlier = sentence.result(benchmark).earlier
    mark = "" if earlier is None else f'<abbr title="{earlier.why}">{earlier.mark}</abbr>'
    return opening + said + mark + closing


def filled(text: str) -> str:
    """A page with its sections and the figures of its text made anew."""
    text = SECTION.sub(lambda found: found[1] + Filled(found[2]).text() + "\n" + found[4], text)
    return IN_TEXT.sub(in_text, text)


def main(words: list[str]) -> int:
    """Fills all pages; 1 if one differs and is only checked, or cannot be filled."""
    different = []
    for page in pages():
        before = page.read_text(encoding="utf-8")
        try:
            after = filled(before)
        except CrysDiffError as error:
            print(f"{page.relative_to(ROOT)}: {error}", file=sys.stderr)
            return 1
        if after != before:
            different.append(page.relative_to(ROOT))
            if "--check" not in words:
                write_text(page, after)
    for page in different:
        print(f"{page} {'differs' if '--check' in words else 'is filled'}")
    return 1 if different and "--check" in words else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
