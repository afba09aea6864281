"""Networks, weights and devices."""
