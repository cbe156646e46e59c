"""A semester: its settings, who takes part, what was handed in and graded, and the marks that follow. It needs a course.toml."""
