"""Metrics of a trained classifier on held-out cases, beside those of color alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fddm.models.radiomics import feature_names
from napari_fddm.training.stage1.color_baseline import color_features, predict_by_color
from napari_fddm.training.stage1.scores import balanced_accuracy, confusion, scores_by_case

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.training.data import Dataset
    from napari_fddm.training.stage1.tasks import FeatureTask, PatchTask

    Indices = npt.NDArray[np.int64]

_MOST = 512
"""Most patches on which the importance of radiomic features is measured."""


def measure(task: PatchTask | FeatureTask, dataset: Dataset) -> dict[str, Any]:
    """Return the metrics for a model card, of validation and test, with those of color alone.

    Parameters
    ----------
    task : PatchTask or FeatureTask
        With its best weights.
    dataset : Dataset
        Patches.
    """
    train = dataset.indices("train")
    truth = dataset.values.astype(np.int64) - 1
    colors = color_features(dataset, train)
    metrics: dict[str, Any] = {}
    for split in ("val", "test"):
        index = dataset.indices(split)
        if not len(index):
            continue
        cases = dataset.cases[index]
        by_color = predict_by_color(colors, truth[train], color_features(dataset, index))
        metrics[split] = {
            "model": scores_by_case(truth[index], task.predict(index), cases, dataset.classes),
            "color alone": scores_by_case(truth[index], by_color, cases, dataset.classes),
            "chance": round(1.0 / len(np.unique(truth[train])), 4),  # among trained classes
        }
    if task.classifier.fusion is not None:
        chosen = dataset.indices("val") if "val" in metrics else train
        metrics["radiomics"] = _importance(task, dataset, chosen)
    return metrics


def _importance(task: PatchTask | FeatureTask, dataset: Dataset, index: Indices) -> dict[str, Any]:
    """Return the mean weights of the gate, and the accuracy lost by shuffling each feature."""
    classifier = task.classifier
    rng = np.random.default_rng(0)
    index = np.sort(rng.permutation(index)[:_MOST])
    truth = dataset.values[index].astype(np.int64) - 1
    features = task.features(index)
    measured = features.radiomics
    if classifier.fusion is None or measured is None:
        return {}
    with torch.inference_mode():
        weights = classifier.fusion(features.pooled, measured).weights.mean(dim=0)

        def score(changed: torch.Tensor) -> float:
            logits = classifier.classify_features(features._replace(radiomics=changed)).tile
            predicted = logits.argmax(dim=1).cpu().numpy()
            return balanced_accuracy(confusion(truth, predicted, len(dataset.classes)))

        whole = score(measured)
        order = torch.from_numpy(rng.permutation(len(index))).to(measured.device)
        importance = {}
        for column, name in enumerate(feature_names(classifier.radiomics)):
            shuffled = measured.clone()
            shuffled[:, column] = measured[order, column]
            importance[name] = round(whole - score(shuffled), 4)
    ranked = dict(sorted(importance.items(), key=lambda item: -item[1]))
    return {
        "gate": {"image": round(float(weights[0]), 4), "radiomics": round(float(weights[1]), 4)},
        "importance": ranked,
        "what": "loss of balanced accuracy when one feature is shuffled among the patches",
    }
