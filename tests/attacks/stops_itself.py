"""Stops its own process, so that it neither answers nor ends."""

import os
import signal
import time

os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(1000)
