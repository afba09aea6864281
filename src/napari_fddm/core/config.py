"""Settings of an analysis, each with the reason for its default, and their validation."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_fddm.core.errors import ConfigError


class StageName(StrEnum):
    """How far a run goes."""

    PATCH = "patch"
    REFINED = "refined"


class AnalysisConfig(BaseModel):
    """Settings of one analysis; unknown keys are refused.

    Attributes
    ----------
    stage : StageName
        "patch" stops after tile classification; "refined" gives each bridge cell a class.
    label_mpp : float
        Grid of the label map, µm per cell. 4 µm keeps a 25 mm slide at 39 MB
        and is an eighth of a bridge cell.
    steps : int
        Network calls per region. 1 equals the direct refiner, which no longer
        schedule beat (``docs/science.md#what-follows``). 0 calls none: a cell has the
        class that stage 1 gives it, and the model needs no refiner.
    eta : float
        1 is the exact posterior, 0 the noise-free path.
    samples : int
        Bridge samples averaged per region.
    seed : int
        Key of the noise; with the global cell index it decides every number.
    batch_size : int
        Tiles per forward pass; fixed by padding so that a viewport equals the
        crop of a whole slide bit for bit.
    overlap : int
        px by which the tiles that the network sees overlap. FDDM has 16; 0 here,
        because the tiles of the map are then those that the network sees, and the
        time grows with (256 / (256 - overlap))².
    blank_filter : bool
        Take tiles without edges for background without asking the network, as FDDM
        does. Off: a tile of pale, homogeneous necrosis has no edges either.
    tissue : str
        "auto" analyzes the tiles that touch tissue, "all" every tile; anything else
        is the file of a mask image (`pipeline.tissue.user_mask`).
    device : str
        "auto" chooses cuda, then mps, then cpu.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Each description says what is allowed: it completes an error message's "it must be …".
    stage: StageName = Field(default=StageName.REFINED, description="patch or refined")
    label_mpp: float = Field(default=4.0, ge=1.0, le=16.0, description="a number from 1 to 16")
    steps: int = Field(default=1, ge=0, le=1000, description="a whole number from 0 to 1000")
    eta: float = Field(default=1.0, ge=0.0, le=1.0, description="a number from 0 to 1")
    samples: int = Field(default=1, ge=1, le=1024, description="a whole number from 1 to 1024")
    seed: int = Field(default=0, ge=0, lt=2**63, description="a whole number from 0 to 2⁶³ − 1")
    batch_size: int = Field(default=8, ge=1, le=4096, description="a whole number from 1 to 4096")
    overlap: int = Field(default=0, ge=0, le=128, description="a whole number from 0 to 128")
    blank_filter: bool = Field(default=False, description="true or false")
    tissue: str = Field(
        default="auto",
        pattern="^.+$",
        description="auto, all or the file of a mask image",
    )
    device: str = Field(
        default="auto",
        pattern="^(auto|cpu|mps|cuda(:[0-9]+)?)$",
        description="auto, cpu, mps, cuda or cuda:N",
    )

    @property
    def calls_refiner(self) -> bool:
        """Whether the run needs the second stage's network."""
        return self.stage is StageName.REFINED and self.steps > 0


def option_name(field: str) -> str:
    """Return what the command line calls a setting: ``label_mpp`` is ``--label-mpp``."""
    return f"--{field.replace('_', '-')}"


def load_config(**values: object) -> AnalysisConfig:
    """Build a configuration from user input.

    Raises
    ------
    ConfigError
        Naming the first setting that is wrong, as the command line calls it, and
        what it allows.
    """
    try:
        return AnalysisConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = str(first["loc"][0])
        field = AnalysisConfig.model_fields.get(where)
        if field is None:
            raise ConfigError(f"there is no setting {where!r}.") from error
        raise ConfigError(
            f"{option_name(where)} cannot be {first.get('input')!r}: "
            f"it must be {field.description}."
        ) from error
