"""What `ase info --plugins` lists. ASE loads this unguarded, so it must not be able to raise."""

import logging

#: An architecture after DAO's, with other edges, and the teachers of its weights.
_CITATION = (
    "dao-p is a Crysformer after DAO (Nature Communications 2026, doi 10.1038/s41467-026-72362-3), "
    "but with edges to all periodic images within a cutoff, atomic energies and conservative "
    "forces, the repulsion of nuclei (Ziegler, Biersack and Littmark 1985) and heats of formation "
    "of the free atoms. Its teachers: energies, forces and stresses "
    "of SevenNet-l3i5 (Park et al., Journal of Chemical Theory and Computation 20, 4857, 2024, doi "
    "10.1021/acs.jctc.4c00190) and CHGNet (Deng et al., Nature Machine Intelligence 5, 1031, 2023, "
    "doi 10.1038/s42256-023-00716-3). Cite DAO, SevenNet and CHGNet."
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
