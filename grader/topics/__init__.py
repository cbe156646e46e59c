"""Our topics, one folder each. They are registered like anybody's, through the entry-point group `npfl139.topics`."""
