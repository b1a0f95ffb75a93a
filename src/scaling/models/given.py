"""The model behind a data set of embeddings: somebody ran it already, so there is no network here."""

from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from scaling.core.errors import ModelError
from scaling.modalities.vectors import VECTORS
from scaling.models.base import Untrained


@dataclass(frozen=True)
class Given(Untrained):
    """Features come with the data set; nothing is computed.

    Attributes:
        id: the encoder's name shown to people.
    """

    id: str = "given"

    modality: ClassVar[str] = VECTORS
    given: ClassVar[bool] = True
    pretrained: ClassVar[bool] = True
    label_space: ClassVar[str | None] = None

    def identity(self) -> dict[str, Any]:
        """Return what changes the features: nothing, they are known by the content of the data set."""
        return {"architecture": "given"}

    def refusal(self, batch: Any, error: Exception, failure: Any) -> NoReturn:
        """Raise ModelError: there is no network."""
        raise self._no_network()

    def processor(self) -> NoReturn:
        """Raise ModelError: what was done to the samples before they were embedded is not known."""
        raise self._no_network()

    def encode(self, network: Any, batch: Any) -> NoReturn:
        """Raise ModelError: there is no network."""
        raise self._no_network()

    def build(self) -> NoReturn:
        """Raise ModelError: there is no network."""
        raise self._no_network()

    def _no_network(self) -> ModelError:
        return ModelError(
            f"{self.id}: embeddings come without a network, so nothing can be computed with one.\n"
            "Take an adaptation that works on features: adaptation=linear_probe or adaptation=knn."
        )
