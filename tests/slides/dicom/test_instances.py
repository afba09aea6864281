"""What DICOM files say of their series and pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fddm.slides.dicom.instances import instances_in, is_dicom, read_instance
from tests.support.dicom import begin, element, write_dicom
from tests.support.slides import stained

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = stained(100, 130)


def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "a.dcm", IMAGE, number="3", description="H&E", container="S12-1", flavor="LABEL"
    )
    found = read_instance(path)
    assert found is not None
    assert (found.number, found.description, found.container) == ("3", "H&E", "S12-1")
    assert (found.flavor, found.is_level, found.shape) == ("LABEL", False, (100, 130))
    assert (found.samples, found.bits, found.photometric) == (3, 8, "YBR_FULL_422")
    assert found.frame.startswith(b"\xff\xd8")


def test_other_objects_are_no_images_and_damaged_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "report.dcm").write_bytes(begin() + element(0x00080016, "UI", "1.2.3"))
    whole = write_dicom(tmp_path / "a.dcm", IMAGE).read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:300])
    (tmp_path / "text.txt").write_text("text")
    files = sorted(tmp_path.iterdir())
    assert [is_dicom(path) for path in files] == [True, True, True, False]
    found, errors = instances_in(files[:3])
    assert [one.path.name for one in found] == ["a.dcm"]
    assert ["cut.dcm" in str(error) for error in errors] == [True]
