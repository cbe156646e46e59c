"""The hidden checks of `ppo`, what students get wrong in it, and what was measured."""
