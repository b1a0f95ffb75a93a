"""How numbers are written in sentences."""


def samples(n: float) -> str:
    """Write a number of samples to the last one: 60,000."""
    return f"{n:,.12g}"


def about(n: float) -> str:
    """Write a number of samples to three figures, never as a power of ten: 1,240 and 60,000."""
    return samples(float(f"{n:.3g}"))
