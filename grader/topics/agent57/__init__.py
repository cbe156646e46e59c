"""The hidden checks of `agent57`, what students get wrong in it, and what was measured."""

PLACE = 8
