"""Potentials: energy, forces and stress of many configurations at once."""
