"""What `ase info --plugins` lists. ASE loads this unguarded, so it must not be able to raise."""

import logging

#: An architecture after DAO's, with other edges, taught by CHGNet: both are to be cited.
_CITATION = (
    "dao-p is a Crysformer after DAO (Nature Communications 2026, doi 10.1038/s41467-026-72362-3) "
    "with edges to all periodic images within a cutoff instead of the published ones, trained on "
    "energies, forces and stresses of CHGNet (Deng et al., Nature Machine Intelligence 5, 1031, "
    "2023, doi 10.1038/s42256-023-00716-3). Cite both."
)

try:
    from ase._4.plugins.plugin import CalculatorPlugin  # ASE 3.29, experimental

    __ase_plugins__ = frozenset(
        {
            CalculatorPlugin(
                "daop",
                citation=_CITATION,
                implementation="ase_crysdiff.ase_calculator.daop.DAOPCalculator",
            )
        }
    )
except Exception as error:  # an ASE without that module, or with another one
    logging.getLogger(__name__).debug("ASE does not list daop: %r", error)
    __ase_plugins__ = frozenset()
