"""Pictures of crystals: one scene, as SVG, as a figure of matplotlib, in tables of notebooks."""
