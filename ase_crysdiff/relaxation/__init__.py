"""Descent on an energy surface: many crystals at once, each by itself."""
