"""The hidden checks of `trpo`, what students get wrong in it, and what was measured."""

PLACE = 2  # in the course
