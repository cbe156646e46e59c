"""Goes on stepping after the budget, swallowing what the environments say about it."""

import numpy as np

if "train" in globals():

    def train(environments, config: Config, monitor):
        environments.reset()
        for _ in range(1000):
            try:
                environments.step(np.zeros(environments.num_envs, np.int64))
            except BaseException:
                pass
        return None
