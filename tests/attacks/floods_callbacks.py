"""Calls the functions that it is given without end, and with arguments that they do not take."""


def _flooding(*arguments, **keywords):
    while True:
        for argument in arguments:
            if callable(argument):
                try:
                    argument("x" * 100_000)
                except BaseException:
                    pass


for _name in [name for name, value in globals().items() if type(value).__name__ == "function" and not name.startswith("_")]:
    globals()[_name] = _flooding
