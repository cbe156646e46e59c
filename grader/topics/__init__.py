"""The topics of the unit in lecture order. This is the only place where the order is written."""

ORDER = ("newton_fisher", "trpo", "ppo", "transformed_rewards", "r2d2", "retrace", "ngu", "agent57")
