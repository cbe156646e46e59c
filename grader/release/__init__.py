"""What students get, made from the solutions: skeletons, notebooks, bundles."""
