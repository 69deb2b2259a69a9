"""Space groups of crystals: found, restored."""
