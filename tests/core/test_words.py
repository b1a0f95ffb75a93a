import pytest

from scaling.core.words import about, samples


@pytest.mark.parametrize(("n", "shown"), [(100, "100"), (60_000.0, "60,000"), (1e6, "1,000,000"), (2.5, "2.5")])
def test_samples_are_written_to_the_last_one(n, shown):
    assert samples(n) == shown


@pytest.mark.parametrize(
    ("n", "shown"), [(1000.0, "1,000"), (1297.3, "1,300"), (459.8, "460"), (3.14159e6, "3,140,000")]
)
def test_estimates_are_written_to_three_figures_without_a_power_of_ten(n, shown):
    assert about(n) == shown
