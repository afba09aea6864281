"""The training loop of both stages: steps, checkpoints, the log of a run."""
