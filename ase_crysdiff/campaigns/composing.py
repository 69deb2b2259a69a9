"""From a table of a property and a hub of modules to a predictor with a card.

Called again after an interruption, it goes on where it was.
"""

import hashlib
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from ase_crysdiff.data.property_tables import read_rows
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.loading import save
from ase_crysdiff.predictors.modules.composing import Composed, compose_rows
from ase_crysdiff.predictors.modules.hub import SHIPPED, load_hub
from ase_crysdiff.storage import Store

log = logging.getLogger(__name__)

_TRAINING = "training"
#: Rows left out that are named one by one.
_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class ComposeOptions:
    """Options of `compose_table`.

    Args:
        property: column of the table, such as band_gap
        unit: unit of the column, such as eV; 1 for a plain number
        output: folder of the predictor; its name is that of the predictor
        hub: folder of modules, or shipped
        transform: log or log1p (natural) where values spread over decades
        split: random, composition or chemical-system: what stays together
        validation: share that chooses the weights
        test: share that measures the result
        minutes: time budget of the fine-tuning
        device: cpu or cuda
        seed: of the split, of heads, resamples and order
    """

    property: str
    unit: str
    output: Path
    hub: str = SHIPPED
    transform: str | None = None
    split: str = "random"
    validation: float = 0.15
    test: float = 0.15
    minutes: float | None = None
    device: str = "cpu"
    seed: int = 0


def compose_table(table: Path, options: ComposeOptions) -> Composed:
    """Reads a table, weighs the modules of a hub by it, fine-tunes, and writes the predictor.

    Args:
        table: .csv or .csv.gz with a column cif or file, and the property.
        options: What is predicted, by what, and where it goes.

    Raises:
        InputError: If an option or the table cannot be used, or the folder holds a run with other
            settings.
        IncompatibleError: If hub, encoder or unit do not fit each other.
        CheckpointError: If there is no such hub.
    """
    target = PropertyTarget(options.property, options.unit)
    rows = read_rows(table, target.name, target.unit)
    versions = {name: module.card.sha256 for name, module in load_hub(options.hub).modules.items()}
    asked = {k: v for k, v in asdict(options).items() if k not in ("output", "minutes", "device")}
    digest = hashlib.sha256(table.read_bytes()).hexdigest()[:16]
    Store(options.output, {**asked, "hub": versions, "data": digest})
    composed = compose_rows(
        rows,
        target,
        hub=options.hub,
        transform=options.transform,
        seed=options.seed,
        split=options.split,
        validation=options.validation,
        test=options.test,
        name=options.output.name,
        folder=options.output / _TRAINING,
        about={"data": table.name},
        minutes=options.minutes,
        device=options.device,
    )
    log.info("%s", composed.report.summary())
    for name, reason in composed.report.left_out[:_NAMED]:
        log.info("    %s: %s", name, reason)
    save(composed.predictor, options.output)
    return composed
