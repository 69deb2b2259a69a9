"""Static pages about scored crystals: HTML with inline SVG, no scripts, nothing loaded from anywhere."""
