import pytest

from scaling.core.costs import PROBE, Estimate, Rate, duration, size


def test_rate_is_seconds_over_units_of_all_measurements():
    assert Rate.of([(100, 2.0), (300, 2.0)], PROBE) == Rate(0.01, PROBE)


@pytest.mark.parametrize("measured", [[], [(0.0, 3.0)]])
def test_nothing_measured_gives_no_rate(measured):
    assert Rate.of(measured, PROBE) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "less than 1 s"), (1.4, "1 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"),
     (3599.9, "1 h 0 min"), (7500, "2 h 5 min"), (400_000, "111 h 6 min")],
)  # fmt: skip
def test_durations_are_written_for_people(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1200, "1.2 kB"), (359e6, "359 MB"), (1.84e9, "1.8 GB"), (9.96e9, "10 GB"),
     (2.5e12, "2.5 TB")],
)  # fmt: skip
def test_sizes_are_written_for_people(count, text):
    assert size(count) == text


def test_estimate_adds_passes_and_fits():
    assert Estimate(3, 100, 20.0, PROBE, 5.0, PROBE, 1e6, 1e9).seconds == 25.0
