"""What agents with a memory are made of and what is no exercise: networks, actors, and the table of replayed sequences."""
