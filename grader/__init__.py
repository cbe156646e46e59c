"""The auto-grader: hidden checks, the trust boundary, training checks, diagnosis, reports."""
