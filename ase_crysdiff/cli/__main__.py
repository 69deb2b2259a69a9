"""`python -m ase_crysdiff.cli`: the command line without an installation."""

from ase_crysdiff.cli.main import main

raise SystemExit(main())
