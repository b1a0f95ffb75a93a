"""The parts in which a clip is heard."""

import pytest

from scaling.models.sound import COVERED, PART
from scaling.models.voices import parts


@pytest.mark.parametrize("frames", [1, 159, 160, 161, 237, 300, 1000])
def test_parts_begin_at_the_start_and_reach_the_end_or_nearly(frames):
    starts = parts(frames)
    assert starts[0] == 0
    assert len(starts) == 1 or (frames - starts[-1]) / PART >= COVERED
    assert frames - (starts[-1] + PART) < 77
