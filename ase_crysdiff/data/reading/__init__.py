"""Kinds of files that hold crystals, each with a reader."""
