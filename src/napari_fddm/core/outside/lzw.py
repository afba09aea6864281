"""Whether LZW data are complete: they carry no checksum, but a code that ends them."""

from __future__ import annotations

LZW = 5
"""TIFF's number of the compression."""
CUT_OFF = "its LZW data end without the code that ends them: bytes are missing"
_FURTHER = b"\0\0\0\0"


def is_cut_off(data: bytes) -> bool:
    """Return whether LZW data lack the code that ends them (TIFF 6.0, section 13).

    Data that lost their last byte decode to as many values as before, some of them wrong.
    Behind the code that ends them, further bytes change nothing; without it they are decoded.

    Parameters
    ----------
    data : bytes
        Of one strip or tile. What cannot be decoded at all is left to the decoder.
    """
    import imagecodecs

    try:
        length = len(imagecodecs.lzw_decode(data))
    except Exception:  # noqa: BLE001 - the decoder says so in its own words
        return False
    try:
        return len(imagecodecs.lzw_decode(data + _FURTHER)) != length
    except Exception:  # noqa: BLE001 - the further bytes were decoded
        return True
