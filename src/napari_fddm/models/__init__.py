"""Networks, their weights and the device they run on."""
