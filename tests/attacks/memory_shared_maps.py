"""Takes memory that limits on private memory do not count, in shared maps, and keeps it."""

import mmap
import time

_maps = []
for _ in range(16):
    _map = mmap.mmap(-1, 2**25, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    _map.write(bytes(2**25))
    _maps.append(_map)
time.sleep(20)
