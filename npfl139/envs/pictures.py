"""What our environments draw themselves with: boxes and smooth discs on arrays [height, width, 3] of uint8; x to the right, y down."""

import numpy as np

__all__ = ["AGENT", "BLUE", "DARK", "GOLD", "GREEN", "LIGHT", "NIGHT", "RED", "SEEN", "TRAIL", "Colour", "box", "canvas", "disc", "mixed"]

Colour = tuple[int, int, int]

NIGHT, DARK, SEEN, TRAIL, LIGHT = (22, 24, 32), (44, 48, 62), (58, 70, 98), (92, 124, 178), (226, 230, 238)
AGENT, GOLD, RED, GREEN, BLUE = (255, 255, 255), (255, 200, 70), (236, 82, 92), (72, 200, 140), (84, 150, 244)


def canvas(width: int, height: int) -> np.ndarray:
    """Return an empty picture of the night."""
    return np.full((height, width, 3), NIGHT, np.uint8)


def box(image: np.ndarray, x: float, y: float, width: float, height: float, colour: Colour) -> None:
    """Fill a rectangle whose upper left corner is (x, y), as far as it lies in the picture."""
    left, top, right, bottom = (max(0, round(edge)) for edge in (x, y, x + width, y + height))
    image[top:bottom, left:right] = colour


def disc(image: np.ndarray, x: float, y: float, radius: float, colour: Colour) -> None:
    """Fill a disc around (x, y), with a smooth edge."""
    top, left = max(0, int(y - radius - 1)), max(0, int(x - radius - 1))
    part = image[top : int(y + radius + 2), left : int(x + radius + 2)]
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    cover = np.clip(radius + 0.5 - np.hypot(rows + top + 0.5 - y, columns + left + 0.5 - x), 0, 1)[..., None]
    part[:] = np.rint(part + cover * (np.array(colour) - part))


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Return a colour between two: the first where `share` is 0, the second where it is 1."""
    red, green, blue = (round(one + share * (other - one)) for one, other in zip(first, second, strict=True))
    return red, green, blue
