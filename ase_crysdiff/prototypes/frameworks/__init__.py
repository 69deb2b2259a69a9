"""Known metal-organic frameworks, whose building blocks are exchanged to assemble others."""
