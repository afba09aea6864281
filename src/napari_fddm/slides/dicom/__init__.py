"""DICOM slides: which series of a folder is the slide, and whether its colors are as it says."""
