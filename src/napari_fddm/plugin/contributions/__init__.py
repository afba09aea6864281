"""What the npe2 manifest declares: reader, writers, commands, sample data."""
