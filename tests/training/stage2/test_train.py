"""Stage 2's training: its batches, its recipes, and that a stopped one goes on to the same end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fddm.core.cards import DenoiserSettings, InputMoments
from napari_fddm.core.errors import ConfigError, TrainingError
from napari_fddm.diffusion.losses import one_hot, refinement_loss
from napari_fddm.models.denoiser import Denoiser
from napari_fddm.models.device import ComputeDevice
from napari_fddm.pipeline.stage2.refiner import build_scheduler, input_scale
from napari_fddm.training.loop.run_log import RunLog
from napari_fddm.training.regions.batches import (
    HANGING_SHARE,
    measured_moments,
    random_regions,
)
from napari_fddm.training.stage2.recipes import RECIPES, find_recipe
from napari_fddm.training.stage2.train import RefinerTraining, train_refiner
from tests.support.regions import blocky_slide, coded_slide

CPU = ComputeDevice(torch.device("cpu"), torch.float32, "CPU, float32")
NETWORK = DenoiserSettings(widths=(8, 16), layers=1)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def built(recipe, moments=None):
    """Return scheduler and network of a recipe, the same weights each time."""
    card = find_recipe(recipe).card(7, moments or InputMoments(), NETWORK)
    scheduler = build_scheduler(card)
    torch.manual_seed(0)
    return scheduler, Denoiser(card.denoiser, input_scale(scheduler, card.input_moments))


# Batches ----------------------------------------------------------------------


def test_regions_keep_source_features_and_truth_together(rng):
    batch = random_regions([coded_slide(rng, (10, 9))], 8, rng, sources=["cells"])
    assert batch.source.shape == (8, 7, 64, 64)
    known = batch.truth >= 0
    assert np.array_equal(batch.source.argmax(axis=1)[known], batch.truth[known])
    assert np.allclose(batch.source.sum(axis=1), 1, atol=1e-5)
    for region in range(8):
        codes = batch.features[region, 0]
        means = [codes[batch.truth[region] == c].mean() for c in range(7)]
        assert (np.diff(means) > 0).all()


def test_regions_begin_at_tiles(rng):
    batch = random_regions([coded_slide(rng, (11, 12))], 12, rng, sources=["tiles"])
    blocks = batch.source.reshape(12, 7, 8, 8, 8, 8)
    assert (blocks == blocks[:, :, :, :1, :, :1]).all()


def test_small_slides_are_padded_with_glass_that_has_no_truth(rng):
    batch = random_regions([coded_slide(rng, (3, 5))], 6, rng)
    assert ((batch.truth >= 0).sum(axis=(1, 2)) == 24 * 40).all()
    beyond = batch.truth < 0
    assert (batch.source[:, 0][beyond] == 1).all()


def test_some_regions_hang_over_the_end_by_less_than_half(rng):
    batch = random_regions([coded_slide(rng, (9, 9))], 200, rng)
    beyond = batch.truth < 0
    hangs = beyond.any(axis=(1, 2))
    assert hangs.mean() == pytest.approx(1 - (1 - HANGING_SHARE) ** 2, abs=0.1)
    assert beyond.all(axis=1).sum(axis=1).max() <= 24
    assert beyond.all(axis=2).sum(axis=1).max() <= 24
    assert (batch.source[:, 0][beyond] == 1).all()
    assert (batch.features[:, 3:].transpose(0, 2, 3, 1)[beyond] == 0).all()


def test_both_sources_occur_and_batches_depend_on_the_seed_alone(rng):
    slide = coded_slide(rng, (8, 8))
    one, same, other = (
        random_regions([slide], 16, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.source, same.source)
    assert not np.array_equal(one.source, other.source)
    exact = ((one.source.argmax(axis=1) == one.truth) | (one.truth < 0)).all(axis=(1, 2))
    assert 0 < exact.sum() < 16


# Preconditioning and recipes ----------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_preconditioned_input_has_unit_variance(seed):
    rng = np.random.default_rng(seed)
    slides = [blocky_slide(rng, noise=0.1 + 0.3 * seed)]
    moments = measured_moments(slides)
    scheduler, denoiser = built("bridge", moments)
    slide = slides[0]
    generator = torch.Generator().manual_seed(seed)
    index = torch.from_numpy(slide.truth.astype(np.int64) - 1)[None]
    original = one_hot(index, 7)
    for m in (1.0, 0.99, 0.9, 0.5, 0.1):
        values = []
        for name in ("cells", "tiles"):
            y = torch.from_numpy(slide.coarse.source(name)[None].astype(np.float32))
            t = torch.from_numpy(scheduler.timestep_at(np.array([m])))
            noise = torch.randn(original.shape, generator=generator)
            sample = scheduler.add_noise(original, y, noise, t)
            values.append((sample - 1 / 7) * denoiser.input_scale[t].item())
        assert torch.cat(values).square().mean().item() == pytest.approx(1, rel=0.03)


def test_regions_without_any_truth_are_refused(rng):
    slide = coded_slide(rng, (1, 1))
    slide.truth[:] = 0
    with pytest.raises(ConfigError, match="no cell of the training regions"):
        measured_moments([slide])


def test_without_moments_nothing_is_scaled():
    _, denoiser = built("fddm_paper")
    assert (denoiser.input_scale == 1).all()


def test_timesteps_of_the_recipes(rng):
    generator = torch.Generator().manual_seed(0)
    counts = {}
    for name, recipe in RECIPES.items():
        scheduler, _ = built(name)
        t = recipe.timesteps(20_000, scheduler, generator)
        m = torch.tensor(scheduler.mixing)[t]
        counts[name] = [(m >= edge).double().mean().item() for edge in (1.0, 0.9, 0.5)]
    assert counts["direct"] == [1.0, 1.0, 1.0]
    # Half at the end, and of the logit-normal (mean 2, sd 1.5) what lies above.
    normal = torch.distributions.Normal(2.0, 1.5)
    above = [1 - normal.cdf(torch.logit(torch.tensor(e))).item() for e in (0.9, 0.5)]
    assert counts["bridge"][1:] == pytest.approx([0.5 + 0.5 * a for a in above], abs=0.015)
    assert counts["bridge"][0] == pytest.approx(0.5, abs=0.015)
    assert counts["fddm_paper"][1:] == pytest.approx([0.1, 0.5], abs=0.015)


def test_an_unknown_recipe_names_those_there_are():
    with pytest.raises(ConfigError, match="bridge, direct, fddm_paper"):
        find_recipe("magic")


def test_the_papers_recipe_is_regressed_and_ours_is_cross_entropy(rng):
    scheduler, _ = built("fddm_paper")
    index = torch.from_numpy(rng.integers(0, 7, (2, 8, 8)))
    original = one_hot(index, 7)
    y = torch.full_like(original, 1 / 7)
    t = torch.tensor([300, 700])
    sample = scheduler.add_noise(original, y, torch.randn(original.shape), t)
    exact = RECIPES["fddm_paper"].loss(scheduler, sample - original, sample, y, t, index)
    assert exact.trans.item() == pytest.approx(0, abs=1e-6)
    assert exact.total.item() == pytest.approx(0, abs=1e-4)
    off = RECIPES["fddm_paper"].loss(scheduler, sample - original - 0.1, sample, y, t, index)
    assert off.trans.item() == pytest.approx(0.1, abs=1e-5)
    assert off.total.item() == pytest.approx((off.trans + off.seg).item())
    logits = torch.randn(original.shape)
    ours = RECIPES["bridge"].loss(scheduler, logits, sample, y, t, index)
    assert ours.total.item() == pytest.approx(refinement_loss(logits, index).seg.item())


# The loop -------------------------------------------------------------------------


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
