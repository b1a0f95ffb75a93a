"""finetune: all weights are trained on the n samples; with model.pretrained=false that is training from scratch."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from scaling.adapt.base import DIVERGED, Adaptation, Context, Outcome, Subset
from scaling.adapt.linear_probe import LinearProbe
from scaling.core.errors import AdaptationError
from scaling.core.subsets import validation_part
from scaling.datasets.base import Dataset
from scaling.models.base import ModelSource, build
from scaling.tasks.base import Task
from scaling.training import LoraSettings, Recipe, Trained, Work
from scaling.training.work import HeadArrays

#: Forward passes of the network made ready for inference that take as long as one forward and back in training.
TRAINING_PASSES = 6.0


@dataclass(frozen=True)
class Finetune(Recipe, Adaptation):
    """Fine-tuning of the whole network with AdamW; the attributes are those of the recipe, and:

    Attributes:
        head: where the head starts: "linear_probe", fitted on the same samples, or "fresh". Random weights always
            get a fresh one: a probe on them would be the best part of the network.
    """

    head: Literal["linear_probe", "fresh"] = "linear_probe"

    name: ClassVar[str] = "finetune"
    METHOD_VERSION: ClassVar[int] = 1
    needs_network: ClassVar[bool] = True

    @property
    def lora(self) -> LoraSettings | None:
        """Settings of low-rank updates; None trains all weights."""
        return None

    def check(self, dataset: Dataset, model: ModelSource, n: int) -> None:
        """Refuse embeddings, and an n at which nothing would be left to validate on."""
        if not model.trainable:
            raise AdaptationError(
                f"{self.name} needs a network to train; {model.id} has none.\n"
                "Take adaptation=linear_probe or adaptation=knn."
            )
        model.processor().check_augment(self.augment)
        if self.searches and n < dataset.task.fewest_to_validate:
            raise self._no_validation(n, dataset.task)

    def run(self, context: Context, subset: Subset) -> Outcome:
        """Train, and predict the subset and the test set."""
        from scaling.training.processes import train

        held_out = self._held_out(subset, context.task)
        work = Work(
            recipe=self, lora=self.lora, dataset=context.dataset, model=context.model, indices=subset.indices,
            targets=subset.targets, seed=subset.seed, held_out=held_out, heads=self._heads(context, subset, held_out),
            precision=context.precision, trainer=context.trainer, settings=context.training,
        )  # fmt: skip
        return self._outcome(train(work, context.reporter), context.task)

    def identity(self) -> dict[str, Any]:
        """Return the settings that change a score, and the probe's that the head starts from."""
        probe = LinearProbe()
        start = {"version": probe.METHOD_VERSION, **probe.identity()} if self.head == "linear_probe" else None
        return {**super().identity(), "probe": start}

    def revision(self, model: ModelSource, n: int) -> int:
        """Return the revision of the probe that the head starts from."""
        return LinearProbe().revision(model, n) if self._probes(model) else 0

    def sees_parts(self, model: ModelSource) -> bool:
        """Say whether how a step's batch is divided changes the score: by batch norms, or by what is drawn a part."""
        random = not model.pretrained
        if self.batch_norm == "train" or (self.batch_norm == "auto" and random and self.lora is None):
            return True
        if self.lora is not None and self.lora.dropout > 0:
            return True
        return model.trainable and _draws(model, model.version())

    def passes(self, n: int, m: int) -> float:
        """Return the forward passes of one sample that training on n and predicting m samples take at most."""
        budget = self.budget(n)
        trainings = 1 + (len(self.learning_rates) if self.searches else 0)
        validated = self.validation * n * self.rounds * (trainings - 1)
        return TRAINING_PASSES * budget.steps * budget.batch * trainings + validated + n + m

    def reads(self, model: ModelSource) -> tuple[str, ...]:
        """Return the splits whose frozen features are needed: those that the head's start is fitted on."""
        return ("train",) if self._probes(model) else ()

    def _probes(self, model: ModelSource) -> bool:
        return self.head == "linear_probe" and model.pretrained

    def _held_out(self, subset: Subset, task: Task) -> NDArray[np.bool_] | None:
        if not self.searches:
            return None
        held_out = validation_part(task.strata(subset.targets), self.validation, subset.seed)
        if not held_out.any():
            raise self._no_validation(len(subset), task)
        return held_out

    def _no_validation(self, n: int, task: Task) -> AdaptationError:
        return AdaptationError(
            f"{self.name} holds out some of the n samples to choose the learning rate and the number of steps; at n={n}"
            f" with {task.outputs} classes none can be spared.\nThe smallest n that works is {task.fewest_to_validate}."
            " Or choose yourself: adaptation.learning_rates=[0.0005] adaptation.patience=null."
        )

    def _heads(
        self, context: Context, subset: Subset, held_out: NDArray[np.bool_] | None
    ) -> tuple[HeadArrays | None, HeadArrays | None]:
        """Return the heads to start from, on what is not held out and on all."""
        if not self._probes(context.model):
            return None, None
        probe = LinearProbe()
        searched = None
        if held_out is not None:
            rest = Subset(subset.indices[~held_out], subset.targets[~held_out], subset.seed)
            searched = probe.head(context, rest, "probe")
        return searched, probe.head(context, subset, "probe")

    def _outcome(self, trained: Trained, task: Task) -> Outcome:
        rounds = [
            {
                "learning_rate": candidate.rate, "step": end.step, "loss": end.loss,
                "validation_log_loss": end.validation_loss, f"validation_{task.hits_name}": end.validation_hits,
                "chosen": candidate.rate == trained.rate and end.step == trained.steps,
            }
            for candidate in trained.candidates for end in candidate.rounds
        ]  # fmt: skip
        tags = {}
        if diverged := [f"{found.rate:g}" for found in trained.candidates if found.diverged]:
            tags[DIVERGED] = f"the loss became NaN at learning rate {', '.join(diverged)}"
        return Outcome(
            train=trained.train,
            test=trained.test,
            metrics={**trained.metrics, "adaptation/learning_rate": trained.rate, "adaptation/steps": trained.steps},
            params={"chosen.learning_rate": trained.rate, "chosen.steps": trained.steps},
            tags=tags,
            tables={"learning_rates": rounds} if rounds else {},
        )


@lru_cache(maxsize=32)
def _draws(model: ModelSource, version: str | None) -> bool:
    from scaling.training.network import draws

    return draws(build(model).network)
