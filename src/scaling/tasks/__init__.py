"""What is predicted of a sample: one file a kind of task. No torch at import."""

from scaling.tasks.base import Regressions, Task
from scaling.tasks.classification import Classification

__all__ = ["Classification", "Regressions", "Task"]
