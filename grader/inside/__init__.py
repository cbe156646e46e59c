"""What the sandbox mounts, and nothing else of the grader: the protocol, the limits, the worker and its parent."""
