"""Which elements suit the parts of a crystal, given those of the others."""
