"""What lies on the canvas: label layers, tools, outlines, slides."""
