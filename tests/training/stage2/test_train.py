"""Stage 2's training: its batches, its recipes, and that a stopped one goes on to the same end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fddm.core.errors import TrainingError
from napari_fddm.models import ComputeDevice
from napari_fddm.training.loop import RunLog
from napari_fddm.training.regions.batches import measured_moments, random_regions
from napari_fddm.training.stage2 import RefinerTraining, find_recipe
from napari_fddm.training.stage2.recipes import RECIPES
from napari_fddm.training.stage2.train import train_refiner
from tests.support.recipes import built
from tests.support.regions import blocky_slide

CPU = ComputeDevice(torch.device("cpu"), torch.float32, "CPU, float32")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_refiner_learns_to_correct_its_source(rng, tmp_path):
    slides = [blocky_slide(rng, case=str(i)) for i in range(3)]
    scheduler, denoiser = built("bridge", measured_moments(slides))
    settings = RefinerTraining(
        steps=160, batch_size=2, lr=5e-3, sources=("cells",), cells=32, save_every=1000
    )
    seconds = train_refiner(denoiser, scheduler, slides, settings, CPU, tmp_path / "c")
    assert seconds > 0
    batch = random_regions([blocky_slide(rng)], 2, rng, sources=["cells"])
    y = torch.from_numpy(batch.source)
    condition = torch.cat([y, torch.from_numpy(batch.features)], dim=1)
    with torch.no_grad():
        logits = denoiser(y, torch.tensor(scheduler.last_timestep), condition)
    before = float((batch.source.argmax(axis=1) == batch.truth).mean())
    after = float((logits.argmax(dim=1).numpy() == batch.truth).mean())
    assert before < 0.8
    assert after > before + 0.1


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_stopped_training_goes_on_to_the_same_end(recipe, rng, tmp_path):
    slides = [blocky_slide(rng, (3, 3), case=str(i)) for i in range(2)]
    settings = RefinerTraining(
        recipe=find_recipe(recipe), steps=7, batch_size=2, cells=16, save_every=2, log_every=1
    )

    def run(name, stop_at=None):
        scheduler, denoiser = built(recipe)
        calls = 0

        def count(*_args):
            nonlocal calls
            if calls == stop_at:
                raise KeyboardInterrupt  # as a kill: nothing is written from here on
            calls += 1

        denoiser.register_forward_pre_hook(count)
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        train_refiner(
            denoiser, scheduler, slides, settings, CPU, folder / "c", folder / "log.jsonl"
        )
        return denoiser.state_dict(), calls

    whole, _ = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("stopped", stop_at=5)
    resumed, calls = run("stopped")
    assert calls == 3  # from the checkpoint after step 4
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    logs = [RunLog(tmp_path / name / "log.jsonl").records() for name in ("whole", "stopped")]
    assert [entry["step"] for entry in logs[1]] == list(range(7))
    assert [entry["loss"] for entry in logs[0]] == [entry["loss"] for entry in logs[1]]
    again, calls = run("stopped")
    assert calls == 0
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_a_checkpoint_from_before_the_common_loop_goes_on(rng, tmp_path):
    slides = [blocky_slide(rng, (2, 2))]
    settings = RefinerTraining(steps=4, batch_size=1, cells=16, save_every=2)

    def run(name, stop_at=None):
        scheduler, denoiser = built("bridge")
        calls = 0

        def count(*_args):
            nonlocal calls
            if calls == stop_at:
                raise KeyboardInterrupt
            calls += 1

        denoiser.register_forward_pre_hook(count)
        train_refiner(denoiser, scheduler, slides, settings, CPU, tmp_path / name)
        return denoiser.state_dict(), calls

    whole, _ = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("stopped", stop_at=3)
    state = torch.load(tmp_path / "stopped", weights_only=True)
    state["settings"] = state.pop("about")
    kept = ("step", "seconds", "settings", "model", "average", "optimizer", "schedule")
    torch.save({name: state[name] for name in kept}, tmp_path / "stopped")
    resumed, calls = run("stopped")
    assert calls == 2
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_a_checkpoint_of_other_settings_is_refused(rng, tmp_path):
    slides = [blocky_slide(rng, (2, 2))]
    for steps, batch in ((1, 1), (2, 1)):
        scheduler, denoiser = built("bridge")
        settings = RefinerTraining(steps=steps, batch_size=batch, cells=16)
        if steps == 1:
            train_refiner(denoiser, scheduler, slides, settings, CPU, tmp_path / "c")
        else:
            with pytest.raises(TrainingError, match="other settings: steps"):
                train_refiner(denoiser, scheduler, slides, settings, CPU, tmp_path / "c")


def test_a_loss_that_is_no_number_stops_with_the_step(rng, tmp_path):
    scheduler, denoiser = built("bridge")
    settings = RefinerTraining(steps=3, batch_size=1, cells=16, save_every=1)
    calls = 0

    def poison(_module, _inputs, output):
        nonlocal calls
        calls += 1
        return output * float("nan") if calls == 2 else output

    denoiser.register_forward_hook(poison)
    with pytest.raises(TrainingError, match="loss of step 1 of 3 is not a finite number"):
        train_refiner(
            denoiser, scheduler, [blocky_slide(rng, (2, 2))], settings, CPU, tmp_path / "c"
        )
    assert torch.load(tmp_path / "c", weights_only=True)["step"] == 1


def test_the_average_is_exponential_and_a_copy_before_it_begins():
    recipe = find_recipe("fddm_paper")
    network = torch.nn.Linear(1, 1, bias=False)
    average = recipe.weight_average(network)

    def take(value, step):
        torch.nn.init.constant_(network.weight, value)
        average.update(network, step)
        return average.state["weight"].item()

    assert take(5.0, 100) == 5.0
    start = recipe.ema_from + 16 * 1000 - 1
    assert take(6.0, start - 1) == 5.0  # only every 16th step
    assert take(6.0, start) == pytest.approx(5.0 + 0.005)


def test_the_average_of_a_short_training_forgets_its_first_weights():
    network = torch.nn.Linear(1, 1, bias=False)
    average = find_recipe("bridge").weight_average(network)
    for step in range(300):
        torch.nn.init.constant_(network.weight, 0.0 if step < 150 else 1.0)
        average.update(network, step)
    assert average.state["weight"].item() > 0.99


def test_an_untrained_network_returns_its_source(rng):
    scheduler, denoiser = built("direct")
    batch = random_regions([blocky_slide(rng)], 2, rng)
    y = torch.from_numpy(batch.source)
    condition = torch.cat([y, torch.from_numpy(batch.features)], dim=1)
    with torch.no_grad():
        probs = denoiser(y, torch.tensor(scheduler.last_timestep), condition).softmax(dim=1)
    assert torch.allclose(probs, y, atol=8e-3)
    assert torch.equal(probs.argmax(dim=1), y.argmax(dim=1))
