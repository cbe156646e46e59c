"""Proves how good the hidden checks of a topic are: of every small change of its solution, some check must notice it."""
