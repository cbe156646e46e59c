"""The hidden checks of `transformed_rewards`, what students get wrong in it, and what was measured."""
