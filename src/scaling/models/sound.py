"""Encoders of sound: statistics of a mel spectrogram, without any pre-training, and Resemblyzer's encoder of voices."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from scaling.core.errors import ModelError, ScalingError
from scaling.core.reading import Checked, Count, Positive
from scaling.modalities.audio import AUDIO, LENGTH, WAVEFORM, Waveforms, heard
from scaling.modalities.base import Batch, Samples
from scaling.models import weights
from scaling.models.base import Backbone, Failure, Untrained, refused

if TYPE_CHECKING:
    from torch import Tensor, nn

#: The tensors of a prepared batch: mel spectrograms (k, frames, bands), and how many frames belong to each clip (k,).
MELS, FRAMES = "mels", "frames"
#: Length of a frame and step from one to the next, in seconds.
FRAME, STEP = 0.025, 0.01
#: What is added before a logarithm is taken: power that nobody hears.
FLOOR = 1e-6
#: Of Resemblyzer (Wan et al. 2018, Generalized end-to-end loss for speaker verification): frames of the parts that a
#: clip is heard in, steps between them, the least share of the last one that is sound, and its loudness in dBFS.
PART, PART_STEP, COVERED, LOUDNESS = 160, 77, 0.75, -30.0
ENTRIES = ("similarity_weight", "similarity_bias")


@dataclass(frozen=True)
class Mel(Waveforms):
    """From clips to the power of their mel bands, frame by frame.

    Attributes:
        bands: number of them, from 0 Hz to half the rate.
        loudness: dBFS that softer clips are raised to; None leaves them as they are.
    """

    bands: Count = 64
    loudness: float | None = None

    def identity(self) -> dict[str, Any]:
        """Return what changes a batch."""
        frames = {"bands": self.bands, "frame": FRAME, "step": STEP, "loudness": self.loudness}
        return {**super().identity(), **frames}

    def prepare(self, batch: Batch) -> Batch:
        """Return mel spectrograms of waveforms, each as if its clip were alone in the batch."""
        import torch

        waves, mask = batch[WAVEFORM], heard(batch)
        if self.loudness is not None:
            power = (waves.square() * mask).sum(1) / batch[LENGTH].clamp(min=1)
            decibels = 10 * torch.log10(power.clamp(min=1e-12))
            waves = waves * 10 ** ((self.loudness - decibels).clamp(min=0) / 20)[:, None]
        size, step = round(self.rate * FRAME), round(self.rate * STEP)
        padded = torch.nn.functional.pad(waves * mask, (size // 2, size // 2))
        window = torch.hann_window(size, device=waves.device)
        spectra = torch.stft(padded, size, step, window=window, center=False, return_complex=True)
        filters = torch.from_numpy(_filters(self.rate, size, self.bands)).to(waves.device)
        mels = spectra.abs().square().transpose(1, 2) @ filters
        frames = 1 + batch[LENGTH] // step
        inside = torch.arange(mels.shape[1], device=waves.device) < frames[:, None]
        return {MELS: mels * inside[:, :, None], FRAMES: frames}


@lru_cache(maxsize=4)
def _filters(rate: int, size: int, bands: int) -> Any:
    """Return weights (frequencies, bands) of triangular filters of area 1, on Slaney's mel scale, as float32."""
    try:
        from transformers.audio_utils import mel_filter_bank
    except ImportError as error:
        raise ModelError(
            "Mel spectrograms need the Python package transformers.\nInstall it: pip install 'scaling-curves[audio]'"
        ) from error
    return mel_filter_bank(size // 2 + 1, bands, 0.0, rate / 2, rate, norm="slaney", mel_scale="slaney").astype("f4")


@dataclass(frozen=True)
class LogMel(Untrained):
    """Mean and standard deviation over time of a clip's log-mel spectrogram: the baseline without pre-training.

    Attributes:
        rate: samples a second, in Hz.
        bands: of mel; there are twice as many features.
        max_seconds: of a clip that are heard.
    """

    id: str = "log_mel"
    rate: Count = 16_000
    bands: Count = 64
    max_seconds: Positive = 30.0
    label_space: str | None = None

    modality: ClassVar[str] = AUDIO
    pretrained: ClassVar[bool] = False

    def processor(self) -> Mel:
        """Return the spectrogram."""
        return Mel(self.rate, self.max_seconds, self.bands)

    def known_width(self, samples: Samples) -> int:
        """Return twice the number of bands."""
        return 2 * self.bands

    def identity(self) -> dict[str, Any]:
        """Return what changes the features."""
        return {"architecture": "log_mel", "preprocessing": self.processor().identity()}

    def build(self) -> Backbone:
        """Return a network that changes nothing."""
        from torch import nn

        return Backbone(nn.Identity(), None, 0)

    def encode(self, network: "nn.Module", batch: Batch) -> "Tensor":
        """Return features (k, 2 × bands)."""
        import torch

        logs, frames = torch.log(network(batch[MELS]) + FLOOR), batch[FRAMES][:, None, None]
        inside = torch.arange(logs.shape[1], device=logs.device)[:, None] < frames
        mean = (logs * inside).sum(1, keepdim=True) / frames
        spread = (((logs - mean) * inside).square().sum(1) / frames[:, 0]).sqrt()
        return torch.cat([mean[:, 0], spread], 1).float()

    def refusal(self, batch: Batch, error: Exception, failure: Failure) -> ScalingError:
        """Return the error for clips that can't be taken."""
        return refused(self.id, error)


@dataclass(frozen=True)
class Resemblyzer(Checked):
    """The encoder of voices of the package Resemblyzer, of which the weights alone are read.

    Mel bands of 40 at 16 kHz pass through three layers of LSTM in parts of 1.6 s; a clip's features are the mean of its
    parts', divided by their length. Silence within clips is kept, which the package cuts out.

    Attributes:
        weights: a path, or package:MODULE/FILE inside an installed package.
        weights_need: what to install where that package is missing.
        pretrained: False for random weights drawn with `init_seed`.
        max_seconds: of a clip that are heard.
    """

    weights: str
    id: str = "resemblyzer"
    weights_need: str | None = None
    pretrained: bool = True
    max_seconds: Positive = 30.0
    label_space: str | None = None
    init_seed: int = 0

    node: ClassVar[str] = "model"
    modality: ClassVar[str] = AUDIO
    given: ClassVar[bool] = False
    trainable: ClassVar[bool] = True
    comparable: ClassVar[bool] = False
    labels: ClassVar[tuple[str, ...] | None] = None

    def processor(self) -> Mel:
        """Return the spectrogram."""
        return Mel(16_000, self.max_seconds, 40, LOUDNESS)

    def known_width(self, samples: Samples) -> int:
        """Return the number of features."""
        return 256

    def version(self) -> str | None:
        """Return a hash of the weights' file; None where it isn't read."""
        return weights.file_digest(weights.locate(self.weights, self.weights_need)) if self.pretrained else None

    def identity(self) -> dict[str, Any]:
        """Return what changes the features."""
        own = f"sha256:{self.version()}" if self.pretrained else f"random:{self.init_seed}"
        return {"architecture": "resemblyzer", "weights": own, "preprocessing": self.processor().identity()}

    def build(self) -> Backbone:
        """Make the network and load its weights.

        Raises:
            ModelError: they can't be had, or don't fit.
        """
        import torch

        from scaling.models.voices import VoiceEncoder

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.init_seed)
            network = VoiceEncoder()
        if self.pretrained:
            path = weights.locate(self.weights, self.weights_need)
            state = {name: value for name, value in weights.read(path).items() if name not in ENTRIES}
            network.load_state_dict(weights.fit(state, network.state_dict(), path, "names"))
        return Backbone(network.eval(), None, sum(parameter.numel() for parameter in network.parameters()))

    def encode(self, network: "nn.Module", batch: Batch) -> "Tensor":
        """Return features (k, 256) of length 1."""
        return network(batch[MELS], batch[FRAMES]).float()

    def refusal(self, batch: Batch, error: Exception, failure: Failure) -> ScalingError:
        """Return the error for clips that can't be taken."""
        return refused(self.id, error)
