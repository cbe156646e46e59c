"""The hidden checks of `ppo`, what students get wrong in it, and what was measured."""

PLACE = 3  # in the course
