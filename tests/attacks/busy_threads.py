"""Has threads beside itself keep every processor busy, so that it waits for one and its seconds do not count."""

import threading
import torch


def _burn():
    x = torch.ones(400, 400)
    while True:
        x @ x


for _ in range(8):
    threading.Thread(target=_burn, daemon=True).start()
while True:
    pass
