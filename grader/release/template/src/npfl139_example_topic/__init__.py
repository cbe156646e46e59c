"""The hidden checks of `example_topic`, what students get wrong in it, and what was measured."""

PLACE = 100  # among the topics that do not build on each other; the smallest comes first
