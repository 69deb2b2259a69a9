"""Powder patterns: reading and simulating them, fitting crystals to them and ranking those."""
