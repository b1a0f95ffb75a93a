"""Clips in folders: listed, heard, learnt, and refused early."""

import numpy as np
import pytest
from tests.modalities.test_audio import RATE, tone

from scaling.core.errors import DataError, SettingError
from scaling.datasets import AudioFolder
from scaling.runs.job import Job, evaluate_job
from scaling.runs.spec import composed

soundfile = pytest.importorskip("soundfile")
PITCH = {"high": 900, "low": 300}


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 6)):
        for label, hertz in PITCH.items():
            folder = tmp_path / "clips" / part / label
            folder.mkdir(parents=True)
            for place in range(count):
                wave = tone(hertz * rng.uniform(0.9, 1.1), rng.uniform(0.3, 0.8))
                soundfile.write(folder / f"{place}.wav", wave + 0.05 * rng.standard_normal(len(wave)), RATE)
    return tmp_path / "clips"


def job(root, *overrides):
    return Job(composed(["dataset=audio_folder", f"dataset.root={root}", "trainer=cpu", "n=20", *overrides]))


def test_clips_are_labelled_by_their_folders(root):
    (root / "train" / "low" / "notes.txt").write_text("what is this")
    (root / "train" / "low" / ".hidden.wav").write_bytes(b"")
    dataset = AudioFolder(str(root)).load()
    assert dataset.class_names == ("high", "low")
    assert (len(dataset.train), len(dataset.test)) == (24, 12)
    assert dataset.notes == (f"{root}: 1 .txt left out",)


@pytest.mark.parametrize("adaptation", ["knn", "linear_probe"])
def test_pitch_is_told(root, adaptation, place):
    assert evaluate_job(job(root, f"adaptation={adaptation}")).score.test_score == 1


def test_an_encoder_of_voices_is_fine_tuned_on_augmented_clips(root, place):
    short = ["adaptation.max_steps=4", "adaptation.min_steps=4", "adaptation.learning_rates=[1e-3]"]
    tuned = ["model=resemblyzer", "model.pretrained=false", "adaptation=finetune", *short]
    evaluation = evaluate_job(job(root, *tuned))
    assert 0 <= evaluation.score.test_score <= 1
    with pytest.raises(SettingError, match="flip is none of gain"):
        job(root, *tuned, "adaptation.augment=[flip]").check()


@pytest.mark.parametrize(
    ("name", "content", "said"), [("low", b"RIFF", "can't be read as audio"), ("silent", None, "holds no audio")]
)
def test_folders_without_sound_and_damaged_clips_are_refused(root, name, content, said):
    folder = root / "train" / name
    folder.mkdir(exist_ok=True)
    if content:
        (folder / "bad.wav").write_bytes(content)
    with pytest.raises(DataError, match=said):
        AudioFolder(str(root)).load()


def test_a_model_of_pictures_is_refused(root):
    with pytest.raises(SettingError, match="pixels reads images, and audio_folder holds audio"):
        job(root, "model=pixels").check()
