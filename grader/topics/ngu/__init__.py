"""The hidden checks of `ngu`, what students get wrong in it, and what was measured."""

PLACE = 7
