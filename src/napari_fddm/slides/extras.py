"""What a slide file holds besides its pyramid: properties, macro and label images.

Both may name a patient. The label is a photograph of the glass label, the macro image
often shows it too, and vendors write names, numbers and dates into their properties.
So nothing here is read until it is asked for, and only the properties listed here count
as harmless: an unknown one must be assumed to identify a patient.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from napari_fddm.core.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_fddm.core.protocols import RgbImage

THUMBNAIL, MACRO, LABEL = "thumbnail", "macro", "label"
"""Names that mean the same in every format; other names have no fixed meaning."""

_HARMLESS = re.compile(
    r"""
    openslide\.(vendor|mpp-[xy]|objective-power|level-count|level\[\d+\]\..+|bounds-.+|icc-size)
    | openslide\.associated\..+\.(width|height|icc-size)
    | aperio\.(AppMag|MPP|StripeWidth|Left|Top|Original[Hh]eight|Original[Ww]idth|Filtered
              |Focus[ ]Offset|ICC[ ]Profile|Gamma|DisplayColor|SessionMode|Exposure[ ].+)
    | hamamatsu\.(SourceLens|Product|Objective\.Lens\.Magnificant|system\.version
                 |[XY]OffsetFromSlideCentre)
    | leica\.(objective|device-model|device-version|illumination-source|aperture)
    | mirax\.GENERAL\.(OBJECTIVE_.+|CAMERA_TYPE|IMAGENUMBER_[XY])
    | ventana\.(Magnification|ScanRes|ScannerModel|ScanWhitePoint|Z-layers)
    | dicom\.(Modality|Manufacturer|ManufacturerModelName|SoftwareVersions|Rows|Columns
             |NumberOfFrames|NumberOfOpticalPaths|TotalPixelMatrix(Rows|Columns|FocalPlanes)
             |ImagedVolume(Width|Height|Depth)|ImageType\[\d+\]|PhotometricInterpretation
             |SamplesPerPixel|Bits(Allocated|Stored)|LossyImageCompression.*|DimensionOrganizationType
             |FocusMethod|TransferSyntaxUID|BurnedInAnnotation|SpecimenLabelInImage)
    | dicom\..+\.(PixelSpacing\[\d\]|ObjectiveLensPower|SliceThickness)
    | tiff\.(Make|Model|Software|ResolutionUnit|[XY]Resolution|Compression)
    """,
    re.VERBOSE,
)
"""Properties about how a slide was scanned, not about the patient or the date."""


def is_harmless(key: str) -> bool:
    """Return whether a property is known to say nothing about a patient."""
    return _HARMLESS.fullmatch(key) is not None


class WithExtras(ABC):
    """Properties and associated images of a slide; none unless a backend has some."""

    @property
    @abstractmethod
    def name(self) -> str:
        """File name, for messages."""

    @property
    def properties(self) -> Mapping[str, str]:
        """What the scanner wrote about the slide; may name a patient, see `is_harmless`."""
        return {}

    @property
    def associated(self) -> Sequence[str]:
        """Names of the images beside the pyramid, such as "macro" and "label"."""
        return ()

    def read_associated(self, name: str) -> RgbImage:
        """Read one of the images beside the pyramid; it may show a patient's name.

        Parameters
        ----------
        name : str
            One of `associated`.

        Returns
        -------
        array of uint8, shape (h, w, 3)

        Raises
        ------
        SlideError
            If there is no such image or it cannot be decoded.
        """
        known = ", ".join(self.associated)
        raise SlideError(
            f"{self.name} holds no {name} image.",
            hint=f"It holds {known}." if known else "It holds no image beside the slide.",
        )
