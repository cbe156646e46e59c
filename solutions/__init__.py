"""The reference solutions: the single source from which the skeleton assignments are generated.

Other distributions bring solutions of their own in a folder of this name without an `__init__.py`.
"""

import pkgutil

__path__ = pkgutil.extend_path(__path__, __name__)
