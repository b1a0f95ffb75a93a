"""What is predicted of a sample: one file a kind of task. No torch at import."""

from scaling.tasks.base import Regressions, Task
from scaling.tasks.classification import Classification
from scaling.tasks.multilabel import Multilabel
from scaling.tasks.token_classification import TokenClassification

__all__ = ["KINDS", "Classification", "Multilabel", "Regressions", "Task", "TokenClassification"]

#: The tasks whose targets can be written as text, by their kind.
KINDS = {kind.kind: kind for kind in (Classification, Multilabel)}
