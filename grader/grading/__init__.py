"""A submission becomes a result: the sandbox, the checks in it, the training checks, the diagnosis, the calibration."""
