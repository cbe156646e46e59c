"""The hidden checks of `r2d2`, what students get wrong in it, and what was measured."""

PLACE = 5  # in the course
