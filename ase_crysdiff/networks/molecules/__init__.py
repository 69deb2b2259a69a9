"""Networks that denoise molecules: open space, no cell."""
