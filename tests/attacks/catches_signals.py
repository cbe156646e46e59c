"""Turns every signal and timer into another chance to run, and never returns from a call."""

import signal


def _again(*arguments, **keywords):
    while True:
        try:
            signal.pause()
        except BaseException:
            continue


for _number in range(1, 65):
    try:
        signal.signal(_number, _again)
    except (OSError, ValueError):
        pass
for _name in [name for name, value in globals().items() if type(value).__name__ == "function" and not name.startswith("_")]:
    globals()[_name] = _again
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
