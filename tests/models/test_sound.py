"""Encoders of sound: what they hear of a clip is the same in any batch."""

import numpy as np
import pytest
import torch
from tests.modalities.test_audio import RATE, tone

from scaling.core.errors import ModelError, SettingError
from scaling.modalities.audio import LENGTH, WAVEFORM, Clips
from scaling.models.sound import FRAMES, MELS, LogMel, Mel, Resemblyzer

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("transformers")
VOICES = Resemblyzer("nowhere.pt", pretrained=False)


@pytest.fixture
def clips(tmp_path):
    rng = np.random.default_rng(0)
    for place, seconds in enumerate((0.3, 2.1, 4.0)):
        soundfile.write(tmp_path / f"{place}.wav", 0.1 * rng.standard_normal(int(seconds * RATE)), RATE)
    return Clips(tuple(tmp_path / f"{place}.wav" for place in range(3)))


def features(source, clips, *places):
    processor = source.processor()
    network = source.build().network
    with torch.inference_mode():
        return source.encode(network, processor.prepare(processor.reader(clips).read(np.array(places))))


@pytest.mark.parametrize("source", [LogMel(), VOICES], ids=["log_mel", "resemblyzer"])
def test_a_clip_is_heard_the_same_alone_and_beside_longer_ones(source, clips):
    together = features(source, clips, 0, 1, 2)
    assert together.shape == (3, source.known_width(clips))
    for place in range(3):
        torch.testing.assert_close(features(source, clips, place)[0], together[place], rtol=1e-4, atol=1e-5)


def test_a_tone_is_loudest_in_its_band():
    processor = Mel(RATE, bands=40)
    waves = torch.from_numpy(np.stack([tone(hertz, 1) for hertz in (300, 1000, 4000)]).astype(np.float32))
    prepared = processor.prepare({WAVEFORM: waves, LENGTH: torch.full((3,), RATE)})
    assert prepared[FRAMES].tolist() == [101] * 3
    # Slaney's scale: 3 mel for 200 Hz below 1 kHz, 27 for a factor of 6.4 above it.
    mel = np.array([4.5, 15, 15 + np.log(4) * 27 / np.log(6.4)])
    top = 15 + np.log(8) * 27 / np.log(6.4)
    np.testing.assert_allclose(prepared[MELS][:, 50].argmax(1), mel / top * 41 - 1, atol=1)


def test_soft_clips_are_raised_and_loud_ones_left():
    waves = torch.from_numpy(np.stack([0.001 * tone(500, 1), tone(500, 1)]).astype(np.float32))
    batch = {WAVEFORM: waves, LENGTH: torch.full((2,), RATE)}
    plain, raised = (Mel(RATE, bands=40, loudness=loudness).prepare(batch)[MELS] for loudness in (None, -30.0))
    assert torch.equal(plain[1], raised[1])
    power = 10 ** (-30 / 10) / np.mean((0.001 * tone(500, 1)) ** 2)
    torch.testing.assert_close(raised[0], plain[0] * power, rtol=1e-3, atol=1e-6)


def test_the_weights_are_known_by_content_and_fitted_by_name(tmp_path, clips):
    state = VOICES.build().network.state_dict()
    torch.save({"step": 1, "model_state": {**state, "similarity_weight": torch.ones(1)}}, tmp_path / "voices.pt")
    source = Resemblyzer(str(tmp_path / "voices.pt"))
    torch.testing.assert_close(features(source, clips, 0, 1), features(VOICES, clips, 0, 1))
    assert source.identity()["weights"].startswith("sha256:")
    lacking = {name: value for name, value in state.items() if "linear" not in name}
    torch.save({"model_state": lacking}, tmp_path / "b.pt")
    with pytest.raises(ModelError, match=r"missing.*linear"):
        Resemblyzer(str(tmp_path / "b.pt")).build()


def test_weights_that_are_not_installed_name_their_package():
    with pytest.raises(ModelError, match="pip install --no-deps Resemblyzer"):
        Resemblyzer("package:nowhere/pretrained.pt", weights_need="--no-deps Resemblyzer").version()


def test_settings_are_held_against_their_types():
    with pytest.raises(SettingError, match=r"model\.bands=0"):
        LogMel(bands=0)
