"""How the tables of a gradebook came to be as `grader.course.models` says, step by step. Alembic runs what is in versions/."""
