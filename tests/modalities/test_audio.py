"""Clips: decoded, padded, augmented, and refused where there is nothing to hear."""

import numpy as np
import pytest
import torch

from scaling.core.errors import DataError, SettingError
from scaling.modalities.audio import LENGTH, WAVEFORM, Clips, Waveforms, augment, decode, look

soundfile = pytest.importorskip("soundfile")
RATE = 16_000


def tone(hertz, seconds, rate=RATE):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


@pytest.fixture
def clips(tmp_path):
    """Three tones: at another rate, in two channels, and in another format."""
    soundfile.write(tmp_path / "a.wav", tone(440, 1.5, 44_100), 44_100)
    soundfile.write(tmp_path / "b.flac", np.stack([tone(440, 0.5), np.zeros(8000)], 1), RATE)
    soundfile.write(tmp_path / "c.ogg", tone(880, 0.25), RATE)
    return Clips(tuple(tmp_path / name for name in ("a.wav", "b.flac", "c.ogg")))


def test_a_clip_becomes_one_channel_at_the_rate_that_is_asked_for(clips):
    wave = decode(clips.paths[0], RATE)
    np.testing.assert_allclose(wave[500:-500], tone(440, 1.5)[500:-500], atol=1e-3)
    np.testing.assert_allclose(decode(clips.paths[1], RATE), tone(440, 0.5) / 2, atol=1e-4)


def test_batches_are_as_long_as_their_longest_clip_and_silent_beyond(clips):
    reader = Waveforms(RATE).reader(clips)
    batch = reader.read(np.array([2, 0]))
    assert batch[LENGTH].tolist() == [4000, 24_000]
    assert batch[WAVEFORM].shape == (2, 24_000)
    assert not batch[WAVEFORM][0, 4000:].any()
    assert reader.order(np.arange(3)).tolist() == [0, 1, 2]
    assert reader.lengths(np.arange(3)).tolist() == [1.5, 1, 1]


def test_what_is_not_heard_is_counted(clips):
    reader = Waveforms(RATE, max_seconds=0.4).reader(clips)
    assert reader.notes() == ["2 of 3 clips are longer than 0.4 s: the rest of them is not heard"]
    assert reader.read(np.arange(3))[WAVEFORM].shape == (3, 6400)
    assert Waveforms(RATE).reader(clips).notes() == []


def test_clips_are_known_by_what_their_files_hold(clips, tmp_path):
    (tmp_path / "copy.wav").write_bytes(clips.paths[0].read_bytes())
    copy = Clips((tmp_path / "copy.wav", *clips.paths[1:]))
    assert copy.content() == clips.content()
    assert copy.keys().tolist() == clips.keys().tolist()
    assert Clips(clips.paths[::-1]).content() != clips.content()
    assert clips.described() == "median 0.5 s, longest 1.5 s, 0 min in all"


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "can't be read as audio"), (b"not a sound at all", "can't be read as audio"), ("empty", "holds no sound")],
)
def test_what_holds_no_sound_is_refused(tmp_path, content, said):
    path = tmp_path / "x.wav"
    if content == "empty":
        soundfile.write(path, np.zeros(0), RATE)
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=said) as error:
        look(path)
    assert str(path) in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_a_sample_rate_of_0_and_numbers_that_are_none_are_refused(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(440, 0.1), RATE)
    content = bytearray(path.read_bytes())
    content[24:28] = bytes(4)  # of the header, the rate
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.wav"):
        look(path)
    soundfile.write(path, np.array([0.1, np.nan]), RATE, subtype="FLOAT")
    with pytest.raises(DataError, match="no numbers"):
        decode(path, RATE)


@pytest.mark.parametrize("names", [["gain"], ["noise"], ["shift"], ["shift", "noise", "gain"]])
def test_a_clip_is_augmented_by_its_own_seed_alone(clips, names):
    processor = Waveforms(RATE)
    batch = processor.reader(clips).read(np.arange(3))
    state = torch.random.get_rng_state()
    both = processor.augmented(batch, names, np.array([5, 6, 7]))
    alone = processor.augmented({key: value[1:2] for key, value in batch.items()}, names, np.array([6]))
    assert torch.equal(both[WAVEFORM][1], alone[WAVEFORM][0])
    assert not torch.equal(both[WAVEFORM][1], batch[WAVEFORM][1])
    assert not both[WAVEFORM][2, 4000:].any()
    assert torch.equal(state, torch.random.get_rng_state())
    assert processor.augmented(batch, [], np.arange(3)) is batch


def test_noise_and_gain_stay_within_their_bounds():
    wave = tone(440, 1).astype(np.float32)
    for seed in range(20):
        noisy = augment(wave, ["noise"], np.random.default_rng(seed))
        decibels = 10 * np.log10(np.mean(wave**2) / np.mean((noisy - wave) ** 2))
        assert 9.5 < decibels < 40.5
        louder = augment(wave, ["gain"], np.random.default_rng(seed))
        assert 0.5 < np.abs(louder).max() / np.abs(wave).max() < 2


def test_another_augmentation_is_refused():
    with pytest.raises(SettingError, match="flip is none of gain, noise, shift"):
        Waveforms().check_augment(["gain", "flip"])
