"""With numpy, in float64, as the definitions read."""

import numpy as np


def extended_mean(mean, count, reward):
    mean, count, reward = (np.asarray(array, np.float64) for array in (mean, count, reward))
    return ((count - 1) * mean + reward) / count


def boltzmann(value, temperature):
    value = np.asarray(value, np.float64)
    weight = np.exp((value - value.max(axis=-1, keepdims=True)) / temperature)
    return weight / weight.sum(axis=-1, keepdims=True)
