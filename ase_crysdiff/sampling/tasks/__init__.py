"""What can be asked of a sampler: one file for each task."""
