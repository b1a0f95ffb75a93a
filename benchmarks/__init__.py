"""Timings, as medians of repeated runs with minimum and maximum. They decide no test."""

import os

# Set for one side of a comparison alone, they would slow it down; OpenBLAS reads them when numpy is imported.
for _name in [name for name in os.environ if name.startswith("OPENBLAS_")]:
    del os.environ[_name]
