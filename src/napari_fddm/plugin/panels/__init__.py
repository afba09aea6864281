"""The dock widget's parts: Qt only; a panel bears the noun of its controller."""
