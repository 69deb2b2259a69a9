"""Crystals from CIF text: its syntax, its symmetry, its sites, and whether they agree."""
