"""What a training loop writes to its log: losses, scores, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_fddm.training.loop.run_log import RunLog
    from napari_fddm.training.loop.settings import LoopOptions


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one optimizer step gave.

    Attributes
    ----------
    step : int
        Steps taken so far, this one included.
    loss : float
        Loss of the batch.
    gradient_norm : float
        Norm of the gradient before clipping.
    lr : float
        Learning rate of the next step.
    seconds : float
        Duration of the training so far.
    """

    step: int
    loss: float
    gradient_norm: float
    lr: float
    seconds: float


class StepLog:
    """Writes the steps, scores and the end of a training.

    Parameters
    ----------
    log : RunLog or None
        Where the lines go; None: nowhere.
    options : LoopOptions
        Which steps are logged, and what of them.
    """

    def __init__(self, log: RunLog | None, options: LoopOptions) -> None:
        self._log = log
        self._options = options

    def number(self, steps_taken: int) -> int:
        """Return the number, in the log, of the last of some steps."""
        return steps_taken - 1 + self._options.first_step

    def rewind(self, steps_taken: int) -> None:
        """Remove the lines of steps that were taken after the checkpoint."""
        if self._log is not None:
            self._log.rewind(self.number(steps_taken))

    def add_step(self, result: StepResult, *, last: bool) -> None:
        """Log a step if it is due."""
        number = self.number(result.step)
        if number % self._options.log_every and not last:
            return
        fields: dict[str, Any] = {"loss": round(result.loss, 6), "lr": result.lr}
        if self._options.detailed_log:
            fields = {
                "loss": result.loss,
                "lr": result.lr,
                "gradient": result.gradient_norm,
                "seconds": round(result.seconds, 2),
            }
        self._append(step=number, **fields)

    def add_score(self, steps_taken: int, score: float, *, best: bool) -> None:
        """Log a validation."""
        self._append(step=self.number(steps_taken), score=round(score, 6), best=best)

    def add_end(self, steps_taken: int, seconds: float) -> None:
        """Log how long the training took, once, unless each line says it."""
        if self._log is None or self._options.detailed_log:
            return
        if not any(record.get("end") for record in self._log.records()):
            self._append(step=self.number(steps_taken), seconds=round(seconds, 1), end=True)

    def _append(self, **fields: Any) -> None:
        if self._log is not None:
            self._log.append(**fields)
