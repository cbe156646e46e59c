"""All that a topic may import: how checks are declared, how they talk to a submission, how they judge what it returns."""
