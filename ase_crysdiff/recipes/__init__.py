"""Recipes: papers as parts lists, and no arithmetic. Each module has one `RECIPE`, which an entry
point of the group `ase_crysdiff.recipes` names.
"""
