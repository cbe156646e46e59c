"""Which submissions say the same in other words: winnowed fingerprints, weighted by how rare they are."""
