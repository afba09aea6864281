"""One controller per matter: reacts to the user and the engine, updates panels and layers."""
