"""What `ase info --plugins` lists. ASE loads this unguarded, so it must not be able to raise."""

try:
    from ase._4.plugins.plugin import CalculatorPlugin  # ASE 3.29, experimental

    __ase_plugins__ = frozenset(
        {
            CalculatorPlugin(
                "daop",
                citation="after DAO (Nature Communications 2026, doi 10.1038/s41467-026-72362-3), "
                "trained on CHGNet (Deng et al., Nature Machine Intelligence 2023, "
                "doi 10.1038/s42256-023-00716-3)",
                implementation="ase_crysdiff.ase_calculator.daop.DAOPCalculator",
            )
        }
    )
except Exception:  # an ASE without that module, or with another one
    __ase_plugins__ = frozenset()
