"""The network of Resemblyzer (Wan et al. 2018): a mel spectrogram in, one direction a clip out."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from scaling.models.sound import COVERED, PART, PART_STEP


class VoiceEncoder(nn.Module):
    """Three layers of LSTM over parts of 160 frames; the names of its layers are those of the weights' file."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mels: Tensor, frames: Tensor) -> Tensor:
        """Return directions (k, 256) of clips.

        Args:
            mels: power of bands (k, frames, 40), 0 beyond a clip's end.
            frames: how many belong to each clip, (k,).
        """
        starts = [parts(int(count)) for count in frames]
        last = max(row[-1] for row in starts) + PART
        windows = pad(mels, (0, 0, 0, max(0, last - mels.shape[1]))).unfold(1, PART, 1).transpose(2, 3)
        owner = torch.tensor([clip for clip, row in enumerate(starts) for _ in row], device=mels.device)
        chosen = windows[owner, torch.tensor([start for row in starts for start in row], device=mels.device)]
        _, (hidden, _) = self.lstm(chosen)
        heard = normalize(torch.relu(self.linear(hidden[-1])))
        return normalize(heard.new_zeros(len(starts), heard.shape[1]).index_add_(0, owner, heard))


def parts(frames: int) -> list[int]:
    """Return the frames at which the parts of a clip begin: the last one is heard where it is sound for the most part.

    >>> parts(100), parts(400)
    ([0], [0, 77, 154, 231])
    """
    starts = list(range(0, max(1, frames - PART + PART_STEP + 1), PART_STEP))
    covered = (frames - starts[-1]) / PART
    return starts[:-1] if len(starts) > 1 and covered < COVERED else starts
