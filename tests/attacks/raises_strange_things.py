"""Raises exceptions that defend themselves against being handled."""


class _Meta(type):
    __name__ = property(lambda self: 1 / 0)
    __instancecheck__ = __subclasscheck__ = lambda self, other: 1 / 0


class _Strange(BaseException, metaclass=_Meta):
    def __str__(self):
        raise self

    __repr__ = __str__
    __traceback__ = property(lambda self: 1 / 0)


def _raise(*arguments, **keywords):
    raise _Strange


for _name in [name for name, value in globals().items() if type(value).__name__ == "function" and not name.startswith("_")]:
    globals()[_name] = _raise
