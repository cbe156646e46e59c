"""The hidden checks of `newton_fisher`, what students get wrong in it, and what was measured."""

PLACE = 1  # in the course
