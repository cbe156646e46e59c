"""Waits without using any processor time."""

import time

while True:
    time.sleep(1000)
