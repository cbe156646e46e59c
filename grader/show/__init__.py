"""What a result says, in words, pages and terminals. Imports no torch and runs nothing."""
