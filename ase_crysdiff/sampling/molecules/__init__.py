"""Drawing molecules: which atoms they have, and the sampler of a model."""
