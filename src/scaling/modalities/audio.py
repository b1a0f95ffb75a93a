"""Audio: clips in files, decoded to one channel at a model's sample rate, and batches of them padded to the longest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from scaling.core import words
from scaling.core.duplicates import keys
from scaling.core.errors import DataError, SettingError
from scaling.core.reading import Checked, Count, Positive
from scaling.modalities.base import Batch, Processor, Reader, Samples

if TYPE_CHECKING:
    from torch import Tensor

#: The modality.
AUDIO = "audio"
#: The tensors of a batch: samples in time (k, T), and how many of them belong to each clip (k,).
WAVEFORM, LENGTH = "waveform", "length"
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif")
#: What may be done to clips of training: up to 6 dB louder or softer, white noise 10 to 40 dB below, a tenth later.
AUGMENTATIONS = ("gain", "noise", "shift")
GAIN_DB, NOISE_DB, SHIFT = 6.0, (10.0, 40.0), 0.1
#: Seconds of a clip that count as one sample in the size of a batch.
UNIT = 1.0

Wave = NDArray[np.float32]


class Seen(NamedTuple):
    """What the header of a file says, and the SHA-256 of its bytes."""

    seconds: float
    content: bytes


@dataclass(frozen=True, eq=False)
class Clips(Samples):
    """N audio files."""

    paths: tuple[Path, ...]

    modality: ClassVar[str] = AUDIO

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def seen(self) -> tuple[Seen, ...]:
        """What one look at each file tells.

        Raises:
            DataError: a file is no audio that can be read, or empty.
        """
        return tuple(map(look, self.paths))

    def content(self) -> str:
        """Return the SHA-256 over what each file holds; names don't count."""
        return hashlib.sha256(b"".join(seen.content for seen in self.seen)).hexdigest()

    def keys(self) -> NDArray[np.int64]:
        """Return a number for each file."""
        return keys((seen.content for seen in self.seen), len(self))

    def taken(self, indices: NDArray[np.int64]) -> "Clips":
        """Return some of the clips, which are not looked at again."""
        found = Clips(tuple(self.paths[index] for index in indices))
        found.__dict__["seen"] = tuple(self.seen[index] for index in indices)
        return found

    def place(self, index: int) -> str:
        """Return the path of a clip."""
        return str(self.paths[index])

    def described(self) -> str:
        """Say how long the clips are."""
        seconds = [seen.seconds for seen in self.seen]
        return f"median {median(seconds):.1f} s, longest {max(seconds):.1f} s, {sum(seconds) / 60:.0f} min in all"


def look(path: Path) -> Seen:
    """Read a file's header.

    Raises:
        DataError: soundfile is missing, or the file is no audio that it can read, or empty.
    """
    soundfile = _soundfile()
    try:
        info, content = soundfile.info(path), path.read_bytes()
    except (OSError, RuntimeError) as error:  # soundfile's own errors are RuntimeErrors
        raise _unreadable(path, error) from error
    if info.frames < 1 or info.samplerate < 1:
        raise DataError(f"{path} holds no sound ({info.frames} frames at {info.samplerate} Hz).\nLeave it out.")
    return Seen(info.frames / info.samplerate, hashlib.sha256(content).digest())


def decode(path: Path, rate: int) -> Wave:
    """Read a file as one channel at a sample rate in Hz, in the range −1 to 1.

    Raises:
        DataError: it is damaged, or not all of its values are numbers.
    """
    import soxr

    try:
        wave, own = _soundfile().read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    mono = wave.mean(1)
    if not len(mono) or not np.isfinite(mono).all():
        raise DataError(f"{path} holds values that are no numbers, or none at all.\nConvert it anew, or leave it out.")
    return np.ascontiguousarray(soxr.resample(mono, own, rate), np.float32)


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: its library is missing
        raise DataError(
            f"Audio needs the Python package soundfile: {error}.\nInstall it: pip install 'scaling-curves[audio]'"
        ) from error
    return soundfile


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = str(error).rpartition(": ")[2] or type(error).__name__
    return DataError(
        f"{path} can't be read as audio: {reason}\nExpected {', '.join(SUFFIXES)}; convert it, or leave it out."
    )


@dataclass(frozen=True)
class Waveforms(Checked, Processor):
    """From clips to waveforms at one sample rate.

    Attributes:
        rate: samples a second.
        max_seconds: of a clip that are heard; the rest is cut off, and counted.
    """

    rate: Count = 16_000
    max_seconds: Positive = 30.0

    node: ClassVar[str] = "model"

    def identity(self) -> dict[str, Any]:
        """Return what changes a batch."""
        return {"rate": self.rate, "max_seconds": float(self.max_seconds)}

    def reader(self, samples: Samples) -> "Waves":
        """Return how clips are read."""
        return Waves(cast(Clips, samples), self)

    def prepare(self, batch: Batch) -> Batch:
        """Return a batch as it is."""
        return batch

    def check_augment(self, names: Sequence[str]) -> None:
        """Raise SettingError for an augmentation that there is none of."""
        if unknown := [name for name in names if name not in AUGMENTATIONS]:
            raise SettingError(
                f"adaptation.augment={list(names)}: {unknown[0]} is none of {', '.join(AUGMENTATIONS)}, which is what"
                " can be done to clips."
            )

    def augmented(self, batch: Batch, names: Sequence[str], seeds: NDArray[np.int64]) -> Batch:
        """Augment clips, each by its own seed, shape (k,); what is beyond a clip's end stays silent."""
        import torch

        if not names:
            return batch
        waves = batch[WAVEFORM].cpu().numpy().copy()
        for wave, length, seed in zip(waves, batch[LENGTH].tolist(), seeds.tolist(), strict=True):
            wave[:length] = augment(wave[:length], names, np.random.default_rng(seed))
        return {**batch, WAVEFORM: torch.from_numpy(waves).to(batch[WAVEFORM].device)}


def augment(wave: Wave, names: Sequence[str], rng: np.random.Generator) -> Wave:
    """Return a waveform (T,) made louder or softer, noisier, or later, by draws of `rng`."""
    for name in names:
        if name == "gain":
            wave = wave * 10 ** (rng.uniform(-GAIN_DB, GAIN_DB) / 20)
        elif name == "noise":
            level = np.sqrt(np.mean(np.square(wave))) * 10 ** (-rng.uniform(*NOISE_DB) / 20)
            wave = wave + level * rng.standard_normal(len(wave))
        else:
            late = int(rng.uniform(0, SHIFT) * len(wave))
            wave = np.concatenate([np.zeros(late, wave.dtype), wave[: len(wave) - late]])
    return np.asarray(wave, np.float32)


@dataclass(frozen=True)
class Waves(Reader):
    """Clips as waveforms, decoded each time: files stay on disk."""

    clips: Clips
    processor: Waveforms

    slow: ClassVar[bool] = True
    kept_bytes: ClassVar[int] = 0

    def read(self, indices: NDArray[np.int64]) -> Batch:
        """Return clips as one batch, silent beyond their ends."""
        import torch

        most = self._most
        waves = [decode(self.clips.paths[index], self.processor.rate)[:most] for index in indices]
        lengths = np.array([len(wave) for wave in waves], np.int64)
        batch = np.zeros((len(waves), max(1, lengths.max())), np.float32)
        for row, wave in zip(batch, waves, strict=True):
            row[: len(wave)] = wave
        return {WAVEFORM: torch.from_numpy(batch), LENGTH: torch.from_numpy(lengths)}

    def order(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return clips by length, the longest first."""
        return indices[np.argsort(-self._seconds(indices), kind="stable")]

    def lengths(self, indices: NDArray[np.int64]) -> NDArray[np.floating]:
        """Return the lengths of clips in units of a second, from 1 up."""
        return np.maximum(1.0, self._seconds(indices) / UNIT)

    def notes(self) -> list[str]:
        """Say how many clips are cut off."""
        heard = float(self.processor.max_seconds)
        cut = sum(seen.seconds > heard for seen in self.clips.seen)
        if not cut:
            return []
        total = words.samples(len(self.clips))
        return [f"{words.samples(cut)} of {total} clips are longer than {heard:g} s: the rest of them is not heard"]

    @property
    def _most(self) -> int:
        return int(self.processor.rate * float(self.processor.max_seconds))

    def _seconds(self, indices: NDArray[np.int64]) -> NDArray[np.floating]:
        seconds = np.array([self.clips.seen[index].seconds for index in indices])
        return np.minimum(seconds, float(self.processor.max_seconds))


def heard(batch: Batch) -> "Tensor":
    """Return which values of a batch's waveforms (k, T) belong to their clips."""
    import torch

    return torch.arange(batch[WAVEFORM].shape[1], device=batch[LENGTH].device) < batch[LENGTH][:, None]
