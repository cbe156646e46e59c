"""Marks become what other systems read. Each format takes marks, and knows nothing of where they come from."""
