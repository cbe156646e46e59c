"""The hidden checks of `transformed_rewards`, what students get wrong in it, and what was measured."""

PLACE = 4  # in the course
