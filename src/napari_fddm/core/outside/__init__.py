"""The one boundary for what comes from outside: what goes wrong here becomes an `FddmError`."""
