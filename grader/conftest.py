"""Lets an instructor run the hidden checks of a topic with pytest: pytest grader/topics/ppo.py --submission my_ppo.py"""
