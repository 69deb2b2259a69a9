"""Networks on scaffolds: space groups and occupied sites, without coordinates."""
