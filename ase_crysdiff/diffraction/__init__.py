"""Powder patterns: read, simulated, fitted by crystals, and crystals ranked by how well they fit."""
