"""``napari-fddm train classifier`` and ``train segmenter``: training of stage 1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_fddm.cli.dataset import (
    HoldOutOption,
    LabelOption,
    MixedOption,
    SplitSeedOption,
    TestShareOption,
    ValShareOption,
    class_names,
    divide,
    print_notes,
)
from napari_fddm.cli.options import (
    DeviceOption,  # noqa: TC001 - typer reads them
    DistinctCasesOption,  # noqa: TC001 - typer reads them
    QuietOption,  # noqa: TC001 - typer reads them
)
from napari_fddm.cli.progress import drain_job

if TYPE_CHECKING:
    from napari_fddm.core.cards import ModelCard

FEATURE_SETS: tuple[Literal["first_order", "glcm"], ...] = ("first_order", "glcm")

app = typer.Typer(name="train", help="Train models on slides of your own.", no_args_is_help=True)

ManifestOption = Annotated[
    Path, typer.Option("--manifest", help="Manifest, or the folder of a dataset that was built.")
]
OutOption = Annotated[Path, typer.Option("-o", "--out", help="Model folder to write.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Start over.")]
StepsOption = Annotated[int, typer.Option(help="Optimizer steps at most.")]
PeakLrOption = Annotated[float, typer.Option(help="Peak learning rate.")]
PatienceOption = Annotated[
    int, typer.Option(help="Validations without a better score before it stops; 0: never.")
]
ValidateEveryOption = Annotated[int, typer.Option(help="Steps between validations.")]
StainOption = Annotated[float, typer.Option(help="How much stains vary, 0 to 1.")]
SeedOption = Annotated[int, typer.Option(help="Seed of order, augmentation and new weights.")]
AllowMissingOption = Annotated[
    bool,
    typer.Option(
        "--allow-missing", help="Train even if the training data lack a class of the others."
    ),
]


@app.command()
def classifier(
    manifest: ManifestOption,
    out: OutOption,
    arch: Annotated[
        str, typer.Option(help="uni, radiomics-os or any model of timm.")
    ] = "vit_small_patch14_dinov2.lvd142m",
    base: Annotated[
        str | None,
        typer.Option(
            help="Train this model (id or folder) further instead of --arch: its heads, and with "
            "--tune lora its adapters too."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights of the backbone, safetensors; from the hub if unset."),
    ] = None,
    random_init: Annotated[
        bool, typer.Option("--random-init", help="Start with a random backbone.")
    ] = False,
    tune: Annotated[
        str | None,
        typer.Option(help="lora, full, or frozen: only the heads, on cached features, in seconds."),
    ] = None,
    loss: Annotated[str | None, typer.Option(help="cross-entropy or hierarchical.")] = None,
    input_px: Annotated[
        int | None, typer.Option(help="Edge to which tiles are resized, px.")
    ] = None,
    radiomics: Annotated[
        bool | None,
        typer.Option(
            help="Fuse first-order and GLCM features of the tile with those of the network; "
            "radiomics-os has first-order ones by default."
        ),
    ] = None,
    steps: StepsOption = 500,
    batch_size: Annotated[int, typer.Option(help="Tiles per step.")] = 32,
    lr: PeakLrOption = 5e-4,
    patience: PatienceOption = 8,
    validate_every: ValidateEveryOption = 25,
    stain: StainOption = 0.25,
    balance: Annotated[
        bool, typer.Option(help="Draw classes, and cases of a class, equally often.")
    ] = True,
    device: DeviceOption = "auto",
    allow_missing: AllowMissingOption = False,
    min_labeled: Annotated[
        float, typer.Option(help="Share of a patch that must have a label.")
    ] = 0.5,
    min_tissue: Annotated[
        float, typer.Option(help="Share of a patch that must be stained.")
    ] = 0.05,
    most: Annotated[
        int, typer.Option("--max", help="Most patches per class and slide; 0: all.")
    ] = 0,
    label: LabelOption = None,
    mixed: MixedOption = "exclude",
    val_share: ValShareOption = 0.2,
    test_share: TestShareOption = 0.0,
    split_seed: SplitSeedOption = 0,
    hold_out: HoldOutOption = None,
    distinct_cases: DistinctCasesOption = False,
    seed: SeedOption = 2000,
    fresh: FreshOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train stage 1; after a stop, the same command continues to the same result."""
    from napari_fddm.training.data import build_dataset, open_dataset
    from napari_fddm.training.data.augmentation import Augmentation
    from napari_fddm.training.data.datasets import INDEX
    from napari_fddm.training.data.patches import PatchSettings
    from napari_fddm.training.loop import LoopSettings
    from napari_fddm.training.stage1 import Stage1Settings, train_stage1
    from napari_fddm.training.stage1.model_folder import backbone_note
    from napari_fddm.training.stage1.work_folder import WORK

    loop = LoopSettings(
        steps=steps,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        validate_every=validate_every,
        patience=patience,
    )
    settings = Stage1Settings(
        arch=arch,
        tune=tune,
        loss=loss,
        base=base,
        weights=weights,
        random_init=random_init,
        input_px=input_px,
        radiomics=None if radiomics is None else (FEATURE_SETS if radiomics else ()),
        balanced=balance,
        loop=loop,
        augmentation=Augmentation(stain_scale=stain, stain_shift=stain / 8),
        device=device,
        allow_missing=allow_missing,
    )
    if (manifest / INDEX).is_file():
        dataset = open_dataset(manifest)
    else:
        names = class_names(label, mixed)
        divided = divide(
            manifest,
            names,
            val_share,
            test_share,
            split_seed,
            hold_out,
            distinct_cases=distinct_cases,
        )
        cut = PatchSettings(1.0, min_labeled, min_tissue, most)
        build = build_dataset(divided, out / WORK / "patches", cut, names)
        dataset = drain_job(build, "cutting", quiet=quiet)
    run = train_stage1(dataset, out, settings, fresh=fresh)
    counts = dataset.counts().to_text()
    card: ModelCard = drain_job(run, "training", quiet=quiet, begin=counts)
    if not quiet:
        print_notes(dataset.said())
        typer.echo(scores_text(card))
        note = backbone_note(card)
        if note:
            typer.echo(f"note: {note}", err=True)
        typer.echo(f"model: {out}; use it with napari-fddm run SLIDE --model {out}")


@app.command()
def segmenter(
    dataset: Annotated[
        Path, typer.Option("--dataset", help="Regions, made with dataset build --kind regions.")
    ],
    out: OutOption,
    arch: Annotated[
        str, typer.Option(help="u-net, mit-b5 or an architecture of segmentation-models-pytorch.")
    ] = "u-net",
    encoder: Annotated[
        str | None, typer.Option(help="Encoder, for an architecture of that library.")
    ] = None,
    random_init: Annotated[
        bool, typer.Option("--random-init", help="Start with a random encoder.")
    ] = False,
    steps: StepsOption = 500,
    batch_size: Annotated[int, typer.Option(help="Windows of 256 px per step.")] = 8,
    lr: PeakLrOption = 1e-4,
    patience: PatienceOption = 8,
    validate_every: ValidateEveryOption = 50,
    stain: StainOption = 0.25,
    device: DeviceOption = "auto",
    allow_missing: AllowMissingOption = False,
    seed: SeedOption = 2000,
    fresh: FreshOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a baseline that segments pixels; needs the extra "baselines"."""
    from napari_fddm.training.data import open_dataset
    from napari_fddm.training.data.augmentation import Augmentation
    from napari_fddm.training.loop import LoopSettings
    from napari_fddm.training.stage1 import SegmenterSettings, train_segmenter

    loop = LoopSettings(
        steps=steps,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        validate_every=validate_every,
        patience=patience,
    )
    settings = SegmenterSettings(
        arch=arch,
        encoder=encoder,
        random_init=random_init,
        loop=loop,
        augmentation=Augmentation(stain_scale=stain, stain_shift=stain / 8),
        device=device,
        allow_missing=allow_missing,
    )
    regions = open_dataset(dataset)
    run = train_segmenter(regions, out, settings, fresh=fresh)
    counts = regions.counts().to_text()
    card: ModelCard = drain_job(run, "training", quiet=quiet, begin=counts)
    if not quiet:
        result = card.training["result"]
        typer.echo(f"weights after step {result['best_step']} of {result['steps']}")
        for split, scores in card.metrics.items():
            each = ", ".join(f"{name} {value:.3f}" for name, value in scores["iou"].items())
            typer.echo(f"mean IoU, {split}: {scores['mean_iou']:.3f} ({each})")
        typer.echo(f"model: {out}; use it with napari-fddm run SLIDE --model {out}")


def scores_text(card: ModelCard) -> str:
    """Return the scores of a trained model and of color alone, by case, as text."""
    result = card.training["result"]
    lines = [f"weights after step {result['best_step']} of {result['steps']}"]
    for split in ("val", "test"):
        if split in card.metrics:
            lines += _lines_of(split, card.metrics[split])
    if "val" not in card.metrics:
        lines.append("no case was held out: nothing is known of what it reaches")
    gate = card.metrics.get("radiomics", {}).get("gate")
    if gate:
        lines.append(f"gate: image {gate['image']:.2f}, radiomics {gate['radiomics']:.2f}")
    return "\n".join(lines)


def _lines_of(split: str, metrics: dict[str, Any]) -> list[str]:
    model, color = metrics["model"], metrics["color alone"]
    lines = [
        f"balanced accuracy, {split}: {model['balanced_accuracy']:.3f}; color alone "
        f"{color['balanced_accuracy']:.3f}, chance {metrics['chance']:.3f} "
        f"({model['tiles']} tiles, {len(model['cases'])} cases)"
    ]
    if len(model["recall"]) == 1:
        only = next(iter(model["recall"]))
        lines.append(f"  {only} is the only class there: a model that always says it reaches 1")
    for case, scores in model["cases"].items():
        recall = ", ".join(f"{name} {value:.3f}" for name, value in scores["recall"].items())
        alone = color["cases"][case]["balanced_accuracy"]
        lines.append(f"  {case}: recall {recall}; color alone {alone:.3f}")
    return lines
