"""The parts of the dock widget: Qt only, no controller; named as the controllers they serve."""
