"""Options that several commands have in common."""

from __future__ import annotations

from typing import Annotated

import typer

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, mps, cuda or cuda:N.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
BatchSizeOption = Annotated[int, typer.Option(help="Tiles per forward pass.")]
SlideMppOption = Annotated[float | None, typer.Option(help="µm per level-0 px.")]
DistinctCasesOption = Annotated[
    bool,
    typer.Option(
        "--distinct-cases",
        help="Case ids that differ only in case, blanks, dashes or zeros are several patients.",
    ),
]
