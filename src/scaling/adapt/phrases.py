"""Zero-shot classification: each text is compared with a phrase for each class, encoded by the same model."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.core.errors import AdaptationError, SettingError
from scaling.core.words import class_names
from scaling.modalities.texts import Texts

if TYPE_CHECKING:
    from scaling.adapt.base import Context
    from scaling.adapt.heads import Head

Phrases = Mapping[str, str | Sequence[str]] | Sequence[str] | str
#: Where the name of a class goes in a template.
NAME = "{}"
#: Cosines are multiplied by it: the scale that sentence-transformers trains with (MultipleNegativesRankingLoss). It
#: changes probabilities, not which class is the most probable.
SCALE = 20.0
#: Phrases that are encoded at once.
BLOCK = 64


def by_class(phrases: Phrases | None, names: Sequence[str]) -> list[list[str]]:
    """Return the phrases of each class, in the order of the names.

    Args:
        phrases: {class: phrase or phrases}, a phrase for each class in order, a template, or None for the names.

    Raises:
        SettingError: they are none of that.
        AdaptationError: they are of other classes.
    """
    if phrases is None or isinstance(phrases, str):
        template = NAME if phrases is None else phrases
        if NAME not in template:
            raise _unreadable(phrases)
        return [[template.replace(NAME, name)] for name in names]
    if isinstance(phrases, Mapping):
        spelled = class_names(map(str, phrases), "adaptation.phrases")
        given: dict[str, Any] = {spelled[str(name)]: value for name, value in phrases.items()}
        absent, unknown = [n for n in names if n not in given], [n for n in given if n not in names]
        if absent or unknown:
            raise AdaptationError(
                f"adaptation.phrases {'lacks' if absent else 'names the unknown'} class"
                f" {', '.join((absent or unknown)[:5])}; the data set has {', '.join(names[:12])}."
            )
        found = [given[name] for name in names]
    else:
        found = list(phrases)
        if len(found) != len(names):
            raise AdaptationError(
                f"adaptation.phrases has {len(found)} phrases, the data set {len(names)} classes.\n"
                f"Give one for each, in this order: {', '.join(names[:12])}."
            )
    groups = [[value] if isinstance(value, str) else value for value in found]
    for group in groups:
        known = isinstance(group, Sequence) and bool(group)
        if not known or not all(isinstance(phrase, str) and phrase.strip() for phrase in group):
            raise _unreadable(phrases)
    return [list(group) for group in groups]


def head(context: "Context", groups: Sequence[Sequence[str]]) -> "Head":
    """Return the head that compares features with phrases.

    Of several phrases of a class the mean direction counts, as in Radford et al. (2021), Learning transferable visual
    models from natural language supervision, section 3.1.4.
    """
    import torch
    from torch.nn.functional import normalize

    from scaling.features.forward import encoder

    texts = Texts(tuple(phrase for group in groups for phrase in group))
    encode = encoder(context.model, context.precision, context.trainer, texts)
    blocks = np.array_split(np.arange(len(texts)), -(-len(texts) // BLOCK))
    encoded = normalize(torch.cat([encode(block) for block in blocks]).float()).split([len(group) for group in groups])
    weight = SCALE * normalize(torch.stack([found.mean(0) for found in encoded]))

    def compare(features: torch.Tensor) -> torch.Tensor:
        return context.task.log_probabilities(normalize(features) @ weight.to(features.device).T)

    return compare


def _unreadable(phrases: Any) -> SettingError:
    return SettingError(
        f"adaptation.phrases={phrases}: expected text with {NAME} where the name of a class goes,\n"
        "or one phrase for each class, [PHRASE, …], or {CLASS: PHRASE, …}."
    )
