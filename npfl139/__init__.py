"""What a student of the unit gets: environments, rollouts, networks, run logs. It contains no answer to any exercise."""

DISTRIBUTION = "deep-rl-unit"  # what pip knows us by
