"""Windows that ask or tell something: Qt only, no controller."""
