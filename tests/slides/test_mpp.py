from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.errors import MppError
from napari_fddm.core.geometry import Mpp
from napari_fddm.slides import ArraySlide
from napari_fddm.slides.mpp import (
    MppClaim,
    aperio_fields,
    claim_from_aperio,
    claim_from_imagej,
    claim_from_objective,
    claim_from_ome,
    claim_from_resolution,
    claim_from_text,
    require_mpp,
    resolve_mpp,
)

VENDOR = MppClaim(0.25, 0.25, "vendor")
OME = MppClaim(0.26, 0.26, "ome")


def resolve(*claims: MppClaim | None, user: float | None = None) -> tuple[Mpp, str]:
    mpp, warnings = resolve_mpp(claims, name="a.svs", user=user)
    return mpp, " ".join(warnings)


def test_the_first_believable_source_wins() -> None:
    assert resolve(None, VENDOR, OME) == (Mpp(0.25, "vendor"), "")
    assert resolve(OME, VENDOR) == (Mpp(0.26, "ome"), "")


def test_silence_is_unknown_and_said() -> None:
    mpp, warnings = resolve(None, None)
    assert mpp == Mpp(None, "unknown")
    assert "by hand" in warnings


@pytest.mark.parametrize("bad", [0.0, 0.004, 25_400.0])
def test_implausible_values_are_skipped(bad: float) -> None:
    assert resolve(MppClaim(bad, bad, "vendor"), OME)[0] == Mpp(0.26, "ome")
    mpp, warnings = resolve(MppClaim(bad, bad, "vendor"))
    assert mpp.value is None
    assert f"{bad:g}" in warnings


def test_pixels_that_are_not_square_are_refused_in_words() -> None:
    mpp, warnings = resolve(MppClaim(0.25, 0.5, "ome"), MppClaim(0.4, 0.4, "tiff-resolution"))
    assert mpp.value is None
    assert "not square" in warnings
    assert "0.25" in warnings
    assert "0.5" in warnings


def test_nearly_square_pixels_are_averaged() -> None:
    mpp, warnings = resolve(MppClaim(0.25, 0.26, "ome"))
    assert mpp.value == pytest.approx(math.sqrt(0.25 * 0.26))
    assert warnings == ""


def test_objective_power_is_called_an_estimate() -> None:
    mpp, warnings = resolve(claim_from_objective("40"))
    assert mpp == Mpp(0.25, "objective-power")
    assert "estimated" in warnings


def test_the_user_overrides_and_is_told_of_a_contradiction() -> None:
    assert resolve(VENDOR, user=0.26) == (Mpp(0.26, "user"), "")
    mpp, warnings = resolve(VENDOR, user=0.5)
    assert mpp == Mpp(0.5, "user")
    assert "0.25" in warnings
    assert "vendor" in warnings
    assert resolve(user=0.5) == (Mpp(0.5, "user"), "")


@pytest.mark.parametrize("bad", [0.0, -0.5, 0.01, 40.0, float("nan"), float("inf")])
def test_impossible_user_values_are_refused(bad: float) -> None:
    with pytest.raises(MppError, match=r"a\.svs"):
        resolve(VENDOR, user=bad)


@given(st.lists(st.one_of(
    st.none(), st.builds(MppClaim, st.floats(1e-4, 1e4), st.floats(1e-4, 1e4), st.just("ome"))
)))  # fmt: skip
def test_whatever_is_found_is_plausible(claims: list[MppClaim | None]) -> None:
    mpp, warnings = resolve_mpp(claims, name="a")
    if mpp.value is None:
        assert warnings
    else:
        assert Mpp.PLAUSIBLE[0] <= mpp.value <= Mpp.PLAUSIBLE[1]


def test_aperio_description() -> None:
    text = (
        "Aperio Image Library v11.2.1 \r\n46000x32914 [0,0 2220x2967] JPEG"
        "|AppMag = 20|MPP = 0.4990|Time = 1"
    )
    fields = aperio_fields(text)
    assert fields["AppMag"] == "20"
    assert claim_from_aperio(fields) == MppClaim(0.499, 0.499, "vendor")
    assert claim_from_aperio(aperio_fields("Aperio Image Library|OriginalWidth = 5")) is None
    assert claim_from_aperio({}) is None


def test_texts_with_commas_and_nonsense() -> None:
    assert claim_from_text("0,25", " 0.25 ", "vendor") == VENDOR
    assert claim_from_text(None, "0.25", "vendor") == VENDOR
    for bad in ("", "n/a", "0", "-1", "nan", "inf", None):
        assert claim_from_text(bad, bad, "vendor") is None
        assert claim_from_objective(bad) is None


@pytest.mark.parametrize(
    ("number", "unit", "um"),
    [
        ("0.25", "µm", 0.25),
        ("0.25", "μm", 0.25),
        ("0.25", "&#181;m", 0.25),
        ("0,25", "microns", 0.25),
        ("250", "nm", 0.25),
        ("0.00025", "mm", 0.25),
        ("2.5e-5", "cm", 0.25),
        ("2500", "Å", 0.25),
    ],
)
def test_ome_units(number: str, unit: str, um: float) -> None:
    claim, note = claim_from_ome((number, number), (unit, unit))
    assert claim is not None
    assert (claim.y, claim.x) == pytest.approx((um, um))
    assert claim.source == "ome"
    assert not note


def test_ome_axes_and_silence() -> None:
    assert claim_from_ome(("0.25", "0.5"), ("µm", "µm")) == (MppClaim(0.25, 0.5, "ome"), "")
    assert claim_from_ome(("0.00025", "0.5"), ("mm", "µm")) == (MppClaim(0.25, 0.5, "ome"), "")
    assert claim_from_ome(("", "0.5"), ("µm", "µm")) == (None, "")


@pytest.mark.parametrize("unit", ["pixel", "Mm", "reference frame", "furlong"])
def test_an_unknown_unit_is_quoted(unit: str) -> None:
    for claim, note in (
        claim_from_ome(("1", "1"), ("µm", unit)),
        claim_from_imagej(2.0, 2.0, (unit, unit)),
    ):
        assert claim is None
        assert repr(unit) in note


@pytest.mark.parametrize(
    ("per_unit", "unit"),
    [(4.0, "micron"), (4.0, "\\u00B5m"), (4.0, "um"), (4000.0, "mm"), (40_000.0, "cm"),
     (101_600.0, "inch"), (0.004, "nm")],
)  # fmt: skip
def test_imagej_units(per_unit: float, unit: str) -> None:
    claim, note = claim_from_imagej(per_unit, per_unit, (unit, unit))
    assert claim is not None
    assert (claim.y, claim.x) == pytest.approx((0.25, 0.25))
    assert not note
    assert claim_from_imagej(0.0, per_unit, (unit, unit)) == (None, "")


@pytest.mark.parametrize(
    ("per_unit", "unit", "um"),
    [
        (40_000.0, 3, 0.25),
        (101_600.0, 2, 0.25),
        (20_040.08, 3, 0.499),
        (4000.0, 4, 0.25),
        (4.0, 5, 0.25),
        (1.0, 5, 1.0),
    ],
)
def test_resolution_tags(per_unit: float, unit: int, um: float) -> None:
    claim, note = claim_from_resolution(per_unit, per_unit, unit)
    assert claim is not None
    assert (claim.y, claim.x) == pytest.approx((um, um), rel=1e-4)
    assert claim.source == "tiff-resolution"
    assert not note


def test_a_missing_resolution_unit_is_inch_and_says_why() -> None:
    claim, note = claim_from_resolution(101_600.0, 101_600.0, None)
    assert "per inch, as TIFF 6.0 says" in note
    assert claim == MppClaim(0.25, 0.25, "tiff-resolution, inch by default of TIFF 6.0")


def test_a_number_that_is_no_unit_is_quoted() -> None:
    claim, note = claim_from_resolution(40_000.0, 40_000.0, 7)
    assert claim is None
    assert "ResolutionUnit is 7" in note


@pytest.mark.parametrize(
    ("per_unit", "unit"),
    [(1.0, 2), (1.0, 3), (1.0, None), (72.0, 2), (96.0, 2), (28.346, 3), (300.0, 2), (0.0, 3),
     (40_000.0, 1)],
)  # fmt: skip
def test_filled_in_resolutions_say_nothing(per_unit: float, unit: int | None) -> None:
    assert claim_from_resolution(per_unit, per_unit, unit) == (None, "")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (MppClaim(0.26, 0.26, "tiff-resolution"), False),
        (MppClaim(0.5, 0.5, "tiff-resolution"), True),
        (MppClaim(0.33, 0.33, "objective-power"), False),
        (MppClaim(0.5, 0.5, "objective-power"), True),
        (MppClaim(90.0, 90.0, "tiff-resolution"), False),
    ],
)
def test_two_places_that_disagree_are_said(other: MppClaim, said: bool) -> None:
    mpp, warnings = resolve(VENDOR, other)
    assert mpp == Mpp(0.25, "vendor")
    assert ("two pixel sizes" in warnings) == said


def test_a_size_that_cannot_be_used_is_the_reason() -> None:
    mpp, warnings = resolve_mpp((None,), name="a.tif", unclear=["the unit is 'furlong'."])
    assert mpp.reason == "the unit is 'furlong'."
    assert warnings[0] == "the unit is 'furlong'."
    known, warnings = resolve_mpp((VENDOR,), name="a.tif", unclear=["the unit is 'furlong'."])
    assert known == Mpp(0.25, "vendor")
    assert warnings == ("the unit is 'furlong'.",)


def slide_of(mpp: Mpp) -> ArraySlide:
    return ArraySlide(np.full((8, 8, 3), 200, np.uint8), mpp=mpp, name="a.svs")


def test_a_run_is_told_why_there_is_no_pixel_size() -> None:
    assert require_mpp(slide_of(Mpp(0.5, "vendor"))) == 0.5
    silent, _ = resolve_mpp((), name="a.svs")
    wide, _ = resolve_mpp((MppClaim(29.0, 29.0, "vendor"),), name="a.svs")
    oblong, _ = resolve_mpp((MppClaim(0.5, 0.25, "ome"),), name="a.svs")
    for mpp, reason in (
        (silent, "does not say how large"),
        (wide, r"29 × 29 µm \(vendor\) is outside 0\.05–20 µm"),
        (oblong, "not square: 0.5 µm high and 0.25 µm wide"),
    ):
        with pytest.raises(MppError, match=reason) as caught:
            require_mpp(slide_of(mpp))
        assert "--mpp" in caught.value.hint
        assert str(caught.value).startswith("a.svs ")


def test_the_reason_is_no_part_of_the_value() -> None:
    assert Mpp(None, "unknown", "because") == Mpp(None, "unknown")
