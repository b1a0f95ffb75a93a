"""The pure core: subsets, fingerprints, scores and curves. No torch, no I/O."""
