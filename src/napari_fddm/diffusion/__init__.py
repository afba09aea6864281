"""The Brownian bridge: the mathematics and the visible loop."""
