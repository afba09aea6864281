"""A file of necrosis definitions as a user would write it."""

OWN = """
[with-hemorrhage]
title = "necrosis and hemorrhage"
numerator = ["NC", "HC"]
denominator = ["VT", "NC", "HC"]
source = "our protocol"
"""
