"""The network that assembles rigid blocks."""
