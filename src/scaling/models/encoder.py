"""A network of transformers as a backbone: one row of features a sample, pooled from what it puts out."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from scaling.modalities.texts import FIRST

#: What features are: what enters the network's own head, the mean, the first token or the maximum of its last layer, or
#: the network's own pooling, where its output holds one, else the mean.
Pooling = Literal["head", "mean", "cls", "max", "own"]


class Encoder(nn.Module):
    """A network of transformers and its pooling.

    Attributes:
        normalised: whether features are divided by their length.
    """

    def __init__(self, network: nn.Module, pooling: Pooling, normalised: bool) -> None:
        super().__init__()
        self.network, self.pooling, self.normalised = network, pooling, normalised

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Return features (k, d), as float32; of sentences, a row a word."""
        if FIRST in batch:
            return self._of_words(batch)
        output = self.network(**batch)
        if self.pooling == "head":  # cut off, so that what would enter it comes out
            features = output.logits
            if features.dim() == 3:  # of a head over tokens
                features = self._pooled(features, batch.get("attention_mask"))
        elif self.pooling == "own" and output.get("pooler_output") is not None:
            features = output.pooler_output
        else:
            features = self._pooled(output.last_hidden_state, batch.get("attention_mask"))
        features = features.flatten(1).float()
        return normalize(features) if self.normalised else features

    def _of_words(self, batch: dict[str, Tensor]) -> Tensor:
        """Return what the last layer puts out for the first token of each word, (words, d), as it enters the head."""
        inputs, first = {name: values for name, values in batch.items() if name != FIRST}, batch[FIRST]
        output = self.network(**inputs, output_hidden_states=self.pooling == "head")
        hidden = output.hidden_states[-1] if self.pooling == "head" else output.last_hidden_state
        if self.pooling == "head" and output.logits.dim() == 3:
            hidden = output.logits
        if hidden.is_meta:  # where it isn't known how many words there are
            return hidden.flatten(0, 1).float()
        rows, words = (first >= 0).nonzero(as_tuple=True)
        return hidden[rows, first[rows, words]].float()

    def _pooled(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Pool what the last layer puts out: (k, tokens, d), or (k, d, height, width) of a convolutional network."""
        if hidden.dim() == 4:
            return hidden.flatten(2).mean(2)
        if self.pooling == "cls":
            return hidden[:, 0]
        if self.pooling == "max":
            return (hidden if mask is None else hidden.masked_fill(mask.unsqueeze(2) == 0, -torch.inf)).amax(1)
        if mask is None:
            return hidden.mean(1)
        weights = mask.unsqueeze(2).to(torch.float32)
        return (hidden.float() * weights).sum(1) / weights.sum(1).clamp(min=1)
