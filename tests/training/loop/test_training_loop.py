"""The loop: killed anywhere it ends the same, and it says when numbers break."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from napari_fddm.core.errors import TrainingError
from napari_fddm.models import ComputeDevice
from napari_fddm.training.loop import LoopSettings, RunLog, run_loop, training_loop
from napari_fddm.training.loop.optimizer import learning_rate_factor
from tests.support.training import drained

CPU = ComputeDevice(torch.device("cpu"), torch.float32, "CPU, float32")

SETTINGS = LoopSettings(steps=20, batch_size=4, save_every=3, validate_every=4, lr=0.05)


class Line:
    """Learns y = 2 x with dropout and batch norm, so that everything random matters."""

    def __init__(self, scores=None, nan_at=None):
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.3), nn.Linear(3, 1))
        self.scores, self.nan_at, self.calls = scores, nan_at, 0

    def loss(self, rng, batch_size):
        x = torch.from_numpy(rng.normal(size=(batch_size, 3))).float()
        self.calls += 1
        value = ((self.module(x) - 2 * x[:, :1]) ** 2).mean()
        return value * float("nan") if self.calls == self.nan_at else value

    def after_step(self):
        pass

    def score(self):
        if self.scores is not None:
            return self.scores.pop(0)
        with torch.no_grad():
            return -float(((self.module(torch.eye(3)) - 2 * torch.eye(3)[:, :1]) ** 2).mean())


def run(task, folder, settings=SETTINGS, **options):
    folder.mkdir(exist_ok=True)
    return run_loop(
        task, settings, CPU, folder / "checkpoint.pt", RunLog(folder / "log.jsonl"), **options
    )


def lines(folder):
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if k != "seconds"} for r in records]


@pytest.mark.parametrize("killed_after", [1, 3, 7, 8, 14, 19])
def test_a_killed_training_ends_as_one_without_a_break(tmp_path, killed_after):
    whole = Line()
    expected = drained(run(whole, tmp_path / "whole"))
    stopped = run(Line(), tmp_path / "stopped")
    for _ in range(killed_after):
        next(stopped)
    del stopped  # no cleaning up: what kill -9 leaves
    with (tmp_path / "stopped" / "log.jsonl").open("a") as file:
        file.write('{"step": 19, "lo')
    torch.manual_seed(999)
    again = Line()
    result = drained(run(again, tmp_path / "stopped"))
    assert result == expected
    for (name, one), other in zip(
        whole.module.state_dict().items(), again.module.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    assert lines(tmp_path / "stopped") == lines(tmp_path / "whole")


@pytest.mark.parametrize("killed_after", [7, 21])  # 21: all steps taken, the end not logged
def test_the_seconds_of_a_killed_training_are_all_of_its_seconds(
    tmp_path, killed_after, monkeypatch
):
    clock = iter(range(1000))
    monkeypatch.setattr(training_loop.time, "monotonic", lambda: float(next(clock)))
    stopped = run(Line(), tmp_path)
    for _ in range(killed_after):
        next(stopped)
    del stopped
    drained(run(Line(), tmp_path))
    (last,) = [r for r in RunLog(tmp_path / "log.jsonl").records() if r.get("end")]
    assert last["seconds"] == SETTINGS.steps  # one for each step, those before the kill too


def test_a_finished_training_is_not_done_again(tmp_path):
    first = drained(run(Line(), tmp_path))
    task = Line()
    assert drained(run(task, tmp_path)) == first
    assert task.calls == 0


def test_the_best_weights_are_kept_and_patience_ends(tmp_path):
    task = Line(scores=[0.1, 0.5, 0.4, 0.3, 0.9])
    settings = LoopSettings(steps=20, batch_size=4, validate_every=4, save_every=2, patience=2)
    events = run(task, tmp_path, settings)
    weights = {}

    def remember(step):
        weights[step.done] = {k: v.clone() for k, v in task.module.state_dict().items()}

    result = drained(events, remember)
    assert (result.steps, result.best_step, result.best_score) == (16, 8, 0.5)
    assert result.stopped_early
    assert all(torch.equal(v, weights[8][k]) for k, v in task.module.state_dict().items())


def test_a_loss_that_is_no_number_names_the_step(tmp_path):
    with pytest.raises(TrainingError, match="loss of step 7") as caught:
        drained(run(Line(nan_at=7), tmp_path))
    assert "--lr" in caught.value.hint


def test_a_gradient_that_is_no_number_names_the_step(tmp_path):
    task = Line()
    plain = task.loss

    def steep(rng, batch_size):
        # finite, but its slope is not
        return plain(rng, batch_size) + torch.sqrt((task.module[2].weight * 0).sum())

    task.loss = steep
    with pytest.raises(TrainingError, match="gradient of step 1"):
        drained(run(task, tmp_path))


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    drained(run(Line(), tmp_path, identity="one"))
    with pytest.raises(TrainingError, match="the data or the network"):
        drained(run(Line(), tmp_path, identity="two"))
    other = LoopSettings(steps=20, batch_size=4, save_every=3, validate_every=4, lr=0.1)
    with pytest.raises(TrainingError, match="lr"):
        drained(run(Line(), tmp_path, other, identity="one"))


@pytest.mark.parametrize("fault", [{"steps": 0}, {"lr": 0.0}, {"lr": float("nan")}])
def test_impossible_settings_are_refused(fault):
    with pytest.raises(TrainingError, match="--"):
        LoopSettings(**fault)


def test_the_loop_learns(tmp_path):
    task = Line()
    torch.manual_seed(1)
    task.module = nn.Linear(3, 1)
    settings = LoopSettings(steps=200, batch_size=16, lr=0.1, patience=0, weight_decay=0.0)
    assert drained(run(task, tmp_path, settings)).best_score > -1e-3
    assert np.allclose(task.module.weight.detach().numpy(), [[2, 0, 0]], atol=0.05)


def test_the_learning_rate_warms_up_and_falls():
    factors = [learning_rate_factor(step, 200) for step in range(200)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == pytest.approx(1.0)
    assert factors[-1] < 0.02
    assert (np.diff(factors[10:]) <= 0).all()
