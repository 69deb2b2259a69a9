"""Recipes: papers as parts lists. Each module has `build(config)` and `configure(data)`; entry
points name them.
"""
