"""The hidden checks of `retrace`, what students get wrong in it, and what was measured."""

PLACE = 6  # in the course
