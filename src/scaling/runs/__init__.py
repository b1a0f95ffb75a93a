"""A grid point as settings, as a job and as a run; and the grid of them: planned, estimated, launched, summed up."""
