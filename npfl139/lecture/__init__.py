"""A lecture as a page that runs: its figures drawn by the reference, and by the functions of whoever reads it."""
