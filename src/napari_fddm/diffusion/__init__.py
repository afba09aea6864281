"""The Brownian bridge: its mathematics, its losses and the sampling loop."""
