"""Crystals that are built from rigid blocks, such as metal-organic frameworks."""
