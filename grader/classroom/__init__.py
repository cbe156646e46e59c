"""Many submissions: taken in from what students hand in, graded by an engine, their results kept."""
