from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import SlideError
from napari_fddm.plugin.contributions.reader import get_reader
from napari_fddm.plugin.contributions.sample_data import synthetic_slide
from napari_fddm.slides.synthetic import SyntheticSlide
from napari_fddm.slides.tiff_level import TiffLevel
from tests.support.data import WSI
from tests.support.slides import stained, write_svs, write_tiff
from tests.support.stores import make, random_labels, refine_all


@pytest.fixture
def slide_path(tmp_path):
    path = tmp_path / "slide.tif"
    SyntheticSlide(1500, 1100, mpp=0.5, seed=2).write_tiff(path)
    return path


def test_a_slide_becomes_a_lazy_pyramid_in_micrometers(slide_path):
    (levels, options, kind) = get_reader(str(slide_path))(str(slide_path))[0]
    assert kind == "image"
    assert all(isinstance(level, da.Array) for level in levels)
    assert levels[0].shape == (1500, 1100, 3)
    assert options["scale"] == pytest.approx((0.5, 0.5))
    assert options["units"] == ("um", "um")
    info = options["metadata"]["napari_fddm"]["info"]
    assert (info.shape, info.mpp, info.uri) == ((1500, 1100), pytest.approx(0.5), str(slide_path))


@pytest.mark.parametrize("name", ["notes.txt", "picture.png", "missing.svs", "missing.tif"])
def test_what_is_no_slide_is_left_to_others(tmp_path, name):
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"x" * 10)
    assert get_reader(str(tmp_path / name)) is None


def test_small_tiffs_stacks_and_foreign_folders_are_left_to_others(tmp_path):
    small = write_tiff(tmp_path / "small.tif", [stained(64, 64)])
    assert get_reader(str(small)) is None
    assert get_reader([str(small), str(small)]) is None
    (tmp_path / "other.ome.zarr").mkdir()
    assert get_reader(str(tmp_path / "other.ome.zarr")) is None


def test_a_broken_slide_is_one_clear_error(tmp_path):
    path = tmp_path / "broken.svs"
    path.write_bytes(b"II*\0" + b"\xff" * 5000)
    with pytest.raises(SlideError) as caught:
        get_reader(str(path))(str(path))
    assert "broken.svs" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_store_becomes_overview_and_named_label_layers(tmp_path):
    path = tmp_path / "case.fddm.ome.zarr"
    with make(path) as store:
        refine_all(store, random_labels(np.random.default_rng(0)))
        store.finish()
        expected = store.labels("corrected")
        geometry = store.geometries.label
    layers = get_reader(str(path))(str(path))
    assert [kind for _, _, kind in layers] == ["image", "labels", "labels", "labels"]
    data, options, _ = layers[-1]
    assert np.array_equal(data, expected)
    assert options["scale"] == geometry.scale
    assert options["translate"] == geometry.translate
    colors = options["colormap"].color_dict
    assert np.allclose(colors[2][:3] * 255, OSTEOSARCOMA["VT"].display_rgb, atol=0.5)


def test_the_sample_is_a_lazy_slide_with_every_class():
    (levels, options, _) = synthetic_slide()[0]
    assert isinstance(levels[0], da.Array)
    slide = options["metadata"]["napari_fddm"]["slide"]
    from napari_fddm.core.geometry import MapGeometry

    truth = slide.truth_map(MapGeometry.covering(slide.levels[0].shape, 64.0, 0.5))
    assert set(np.unique(truth)) == {1, 2, 3, 4, 5, 6, 7}


def refuse_to_decode(monkeypatch):
    import openslide

    def fail(*_args, **_options):
        raise AssertionError("a pixel was read")

    monkeypatch.setattr(TiffLevel, "read_tile", fail)
    monkeypatch.setattr(openslide.OpenSlide, "read_region", fail)


def test_opening_decodes_nothing(tmp_path, monkeypatch):
    path = write_svs(tmp_path / "s.svs", [stained(640, 640), stained(160, 160)])
    refuse_to_decode(monkeypatch)
    (levels, _, _) = get_reader(str(path))(str(path))[0]
    assert [level.shape[:2] for level in levels] == [(640, 640), (160, 160)]


real = pytest.mark.skipif(not WSI.exists(), reason="needs the real slides")


@real
@pytest.mark.parametrize(
    "name",
    [
        "svs/CMU-1-Small-Region.svs",
        "ndpi/test3-DAPI-2-(387).ndpi",
        "dicom/CMU-1-Small-Region",
        "osteosarcoma-mosaics/Case-3_mosaic.tif",
    ],
)
def test_opening_a_real_slide_decodes_nothing(name, monkeypatch):
    # Pyramids of image libraries are not here: where their sizes leave it open how the
    # levels lie on one another, pixels have to decide (`PyramidSlide._measure_scales`).
    path = str(WSI / name)
    refuse_to_decode(monkeypatch)
    ((levels, options, _),) = get_reader(path)(path)
    assert levels[0].ndim == 3
    assert options["units"] == ("um", "um")


@real
def test_any_file_of_a_dicom_series_opens_the_series():
    folder = WSI / "dicom" / "CMU-1-Small-Region"
    ((_, options, _),) = get_reader(str(folder))(str(folder))
    whole = options["metadata"]["napari_fddm"]["info"]
    files = [path for path in folder.glob("*.dcm") if path.is_file()]
    assert len(files) > 1
    for path in files:
        ((levels, options, _),) = get_reader(str(path))(str(path))
        assert options["metadata"]["napari_fddm"]["info"].fingerprint == whole.fingerprint
        assert levels[0].shape[:2] == whole.shape


def test_an_omezarr_folder_is_a_slide(tmp_path):
    import zarr

    path = tmp_path / "image.ome.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=3)
    image = stained(300, 200).transpose(2, 0, 1)
    group.create_array("0", data=image, chunks=(3, 100, 100))
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": name, "type": "space", "unit": "micrometer"} for name in "yx"
    ]
    scale = {"type": "scale", "scale": [1.0, 0.5, 0.5]}
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    multiscales = [{"axes": axes, "datasets": datasets, "name": "image"}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
    ((levels, options, _),) = get_reader(str(path))(str(path))
    assert options["scale"] == pytest.approx((0.5, 0.5))
    assert np.array_equal(np.asarray(levels[0][:50]), image[:, :50].transpose(1, 2, 0))
