"""The largest relative error of h⁻¹ in float32, for our form, the printed form, and rlax's `signed_parabolic`.

    python benchmarks/rescale_accuracy.py

The arguments are h(x) for 20 001 magnitudes per range of |x|, in both signs, rounded to float32; the reference is our form
in float64, which tests compare with the printed one. rlax is measured where it and jax are installed (pip install jax rlax).
"""

from collections.abc import Callable

import numpy as np
import torch

from solutions.transformed_rewards import rescale, rescale_inverse

RANGES = ((-6, -3), (-3, 0), (0, 3), (3, 6))  # powers of ten


def printed(y: torch.Tensor, epsilon: float) -> torch.Tensor:
    return y.sign() * (((torch.sqrt(1 + 4 * epsilon * (y.abs() + 1 + epsilon)) - 1) / (2 * epsilon)) ** 2 - 1)


def rlax_inverse() -> Callable:
    """Return rlax's inverse on torch tensors.

    Raises:
        ImportError: jax or rlax is not installed.
    """
    import jax.numpy as jnp
    import rlax

    return lambda y, epsilon: torch.tensor(np.asarray(rlax.signed_parabolic(jnp.asarray(y.numpy()), epsilon)))


def main() -> None:
    forms = {"ours": rescale_inverse, "printed": printed}
    try:
        forms["rlax"] = rlax_inverse()
    except ImportError as error:
        print(f"rlax is not measured: {error}")
    print("ε        |x|              " + "".join(f"{name:>12}" for name in forms))
    for epsilon in (1e-3, 1e-2, 1e-1):
        for low, high in RANGES:
            size = 10 ** torch.linspace(low, high, 20_001, dtype=torch.float64)
            y = rescale(torch.cat([-size, size]), epsilon).float()
            exact = rescale_inverse(y.double(), epsilon)
            errors = [((inverse(y, epsilon).double() - exact) / exact).abs().max().item() for inverse in forms.values()]
            print(f"{epsilon:<8g} 1e{low:+d} … 1e{high:+d}    " + "".join(f"{error:12.1e}" for error in errors))


if __name__ == "__main__":
    main()
