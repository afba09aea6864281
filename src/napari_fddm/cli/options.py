"""Options that several commands have in common."""

from __future__ import annotations

from typing import Annotated

import typer

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, mps, cuda or cuda:N.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
BatchSizeOption = Annotated[int, typer.Option(help="Tiles per forward pass.")]
AllowDownloadOption = Annotated[
    bool,
    typer.Option(
        "--allow-download",
        help="Fetch what the model needs from the Hugging Face hub; otherwise no connection is "
        "opened.",
    ),
]
SeriesOption = Annotated[
    int | None,
    typer.Option(
        "--series",
        min=0,
        help="Which image of a file that holds several, from 0; `info` lists them. If unset: the "
        "largest that is a slide.",
    ),
]
SlideMppOption = Annotated[float | None, typer.Option(help="µm per level-0 px.")]
DistinctCasesOption = Annotated[
    bool,
    typer.Option(
        "--distinct-cases",
        help="Case ids that differ only in case, blanks, dashes or zeros are several patients.",
    ),
]
