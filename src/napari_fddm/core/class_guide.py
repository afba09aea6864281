"""Guide to the classes: what each looks like, what it is mistaken for, and the sources.

The classes and their part in the rate are those of FDDM. Where pathologists count
otherwise, the guide says so instead of deciding.
"""

from __future__ import annotations

from dataclasses import dataclass

FDDM = "FDDM (arXiv 2501.01932, ISBI 2025)"
IJMPO = "Indian J Med Paediatr Oncol 2021; 42: 547–553"
PRACTICE = "convention of this software; agree on it with your readers"


@dataclass(frozen=True, slots=True)
class GuideEntry:
    """What a reader should know before painting a class.

    Attributes
    ----------
    short : str
        Abbreviation of the class.
    what : str
        What it looks like.
    beware : str
        What it is mistaken for, and where definitions differ.
    source : str
        Where that comes from.
    """

    short: str
    what: str
    beware: str
    source: str

    @property
    def text(self) -> str:
        """Description and pitfalls as one paragraph."""
        return f"{self.what} {self.beware}"


CLASS_GUIDE = (
    GuideEntry(
        "BG",
        "Glass without tissue, also within cracks and empty spaces.",
        "Not counted. Folds, pen and bone dust are no background: exclude them.",
        f"{FDDM}; excluding: {PRACTICE}",
    ),
    GuideEntry(
        "VT",
        "Tumor cells with stained, structured nuclei, with or without osteoid between them.",
        "Osteoid that holds living tumor cells belongs to them. Cells that are only outlines "
        "without a nucleus are necrosis.",
        f"class: {FDDM}; details: {PRACTICE}",
    ),
    GuideEntry(
        "NC",
        "Dead tumor: ghost cells whose outlines stay but whose nuclei faded, shrank or broke up.",
        "A shrunken dark nucleus alone does not make necrosis: look at the cells around it.",
        f"class: {FDDM}; details: {PRACTICE}",
    ),
    GuideEntry(
        "FH",
        "Scar in the tumor bed: collagen with few spindle cells, or glassy pink tissue.",
        "Counted as response in the FDDM rate. Osteoid or bone matrix without tumor cells that is "
        "left after treatment looks alike; some centers leave hemorrhage, fibrosis and acellular "
        "osteoid out of necrosis: choose the strict definition then. Bone of the host is NT.",
        f"{FDDM}; the other practice: {IJMPO}",
    ),
    GuideEntry(
        "HC",
        "Blood lakes and cysts in the tumor bed.",
        "Counted as response in the FDDM rate, left out elsewhere. Blood in vessels of normal "
        "tissue, or spilled in surgery, is none of it.",
        f"{FDDM}; the other practice: {IJMPO}",
    ),
    GuideEntry(
        "IF",
        "Lymphocytes, macrophages or granulation tissue in the tumor bed.",
        "Counted as response in the FDDM rate. Dense small round cells are easily taken for "
        "viable tumor.",
        f"class: {FDDM}; details: {PRACTICE}",
    ),
    GuideEntry(
        "NT",
        "Tissue that was never tumor: host bone, marrow, cartilage, muscle, fat, skin.",
        "Not counted. Where the tumor bed ends is for the reader to say: outline it.",
        f"{FDDM}; outline: {PRACTICE}",
    ),
)
"""One entry for each class, in the order of the table."""
