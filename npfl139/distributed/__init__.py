"""Actors in processes of their own, which feed one learner: what they are made of, what the learner does with them, and Ray to run them."""
