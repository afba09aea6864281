"""Names that people give: when two of them are one thing written twice."""
