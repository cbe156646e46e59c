"""What students really get wrong: one module a topic, each a list of small edits of the solution."""
