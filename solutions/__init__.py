"""The reference solutions: the single source from which the skeleton assignments are generated."""
