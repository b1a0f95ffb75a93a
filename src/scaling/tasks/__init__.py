"""What is predicted of a sample: one file a kind of task. No torch at import."""

from scaling.tasks.base import Regressions, Task
from scaling.tasks.classification import Classification
from scaling.tasks.multilabel import Multilabel

__all__ = ["KINDS", "Classification", "Multilabel", "Regressions", "Task"]

#: The tasks whose targets can be written as text, by their kind.
KINDS = {kind.kind: kind for kind in (Classification, Multilabel)}
