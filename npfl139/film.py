"""Moving pictures: saved as GIF or MP4, or shown in a window or in the terminal."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.style import Style
from rich.text import Text

__all__ = ["FilmError", "Frame", "Scene", "beside", "picture_of", "save", "show_in_terminal", "show_in_window", "text_picture"]

MAX_FRAMES = 1000  # of a film
GAP = 8  # pixels between two pictures


class FilmError(Exception):
    """A film cannot be written or shown. The message is one sentence that says what to do."""


class Frame(NamedTuple):
    """One picture of a film."""

    image: np.ndarray  # [height, width, 3] of uint8
    caption: str = ""  # what the terminal says below it


# What a topic's `demonstration` yields: a picture, or a matplotlib figure as it looks at that moment, and a sentence about it. What stands
# before its first colon names the scene.
Scene = Iterator[tuple[object, str]]


def picture_of(figure: Any) -> np.ndarray:
    """Return the picture [height, width, 3] of a matplotlib figure; an array is one already."""
    if isinstance(figure, np.ndarray):
        return figure
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def beside(left: Iterable[Frame], right: Iterable[Frame]) -> Iterator[Frame]:
    """Yield both films side by side; the one that ends first stays at its last picture."""
    first: Frame | None = None
    second: Frame | None = None
    for one, other in zip_longest(left, right):
        first, second = one or first, other or second
        if first is None or second is None:
            return
        height = max(len(first.image), len(second.image))
        pictures = [np.pad(frame.image, ((0, height - len(frame.image)), (0, 0), (0, 0))) for frame in (first, second)]
        gap = np.full((height, GAP, 3), 255, np.uint8)
        yield Frame(np.concatenate([pictures[0], gap, pictures[1]], axis=1), f"{first.caption}   |   {second.caption}")


def save(frames: Iterable[Frame], path: Path, frames_per_second: float) -> None:
    """Write a film as its suffix says, .gif or .mp4.

    Raises:
        FilmError: there is no picture, or what writes MP4 is not installed.
        OSError: the file cannot be written.
    """
    images = [frame.image for _, frame in zip(range(MAX_FRAMES), frames, strict=False)]
    if not images:
        raise FilmError(f"there is nothing to film, so that {path} was not written")
    size = tuple(max(image.shape[axis] for image in images) for axis in (0, 1))
    images = [np.pad(image, ((0, size[0] - len(image)), (0, size[1] - image.shape[1]), (0, 0))) for image in images]
    (_save_mp4 if path.suffix.lower() == ".mp4" else _save_gif)(images, path, frames_per_second)


def _save_gif(images: list[np.ndarray], path: Path, frames_per_second: float) -> None:
    from PIL import Image

    pictures = [Image.fromarray(image) for image in images]
    pictures[0].save(path, format="GIF", save_all=True, append_images=pictures[1:], duration=1000 / frames_per_second, loop=0)


def _save_mp4(images: list[np.ndarray], path: Path, frames_per_second: float) -> None:
    try:
        from imageio_ffmpeg import write_frames
    except ModuleNotFoundError:
        raise FilmError("MP4 needs imageio-ffmpeg: pip install 'deep-rl-unit[film]', or use --gif") from None
    height, width = images[0].shape[0] // 2 * 2, images[0].shape[1] // 2 * 2  # the codec wants even numbers
    with open(path, "wb"):  # so that a path that cannot be written is an OSError
        pass
    writer = write_frames(str(path), (width, height), fps=frames_per_second, macro_block_size=2, quality=8)
    writer.send(None)
    for image in images:
        writer.send(np.ascontiguousarray(image[:height, :width]))
    writer.close()


def show_in_terminal(frames: Iterable[Frame], console: Console, frames_per_second: float) -> None:
    """Play a film in the terminal at its speed; the last picture stays."""
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for frame in _paced(frames, frames_per_second):
            picture = text_picture(frame.image, console.width, max(4, console.height - 2))
            live.update(Group(picture, Text(frame.caption, no_wrap=True, overflow="ellipsis")), refresh=True)


def show_in_window(frames: Iterable[Frame], title: str, frames_per_second: float) -> None:
    """Play a film in a window, until it ends or the window is closed.

    Raises:
        FilmError: there is no screen.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    try:
        pygame.display.init()
        window = None
        for frame in _paced(frames, frames_per_second):
            if window is not None and pygame.event.peek(pygame.QUIT):
                break
            size = frame.image.shape[1::-1]
            if window is None or window.get_size() != size:
                window = pygame.display.set_mode(size)
            pygame.display.set_caption(f"{title}: {frame.caption}")
            pygame.surfarray.blit_array(window, frame.image.swapaxes(0, 1))
            pygame.display.flip()
    except pygame.error as error:
        raise FilmError(f"there is no window here ({error}): save a film with --gif, or leave out --render") from error
    finally:
        pygame.display.quit()


def text_picture(image: np.ndarray, columns: int, rows: int) -> Text:
    """Return a picture made of half blocks, at most that many characters wide and high: each holds two pixels, one over the other."""
    height, width = image.shape[:2]
    scale = max(width / columns, height / (2 * rows), 1e-9)
    lines, wide = max(1, round(height / scale / 2)), max(1, round(width / scale))
    small = _shrunk(image, 2 * lines, wide)
    text = Text(no_wrap=True)
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        for above, below in zip(upper, lower, strict=True):
            text.append("▀", Style(color=_colour(above), bgcolor=_colour(below)))
        text.append("\n")
    return text


def _colour(pixel: np.ndarray) -> str:
    red, green, blue = pixel
    return f"#{red:02x}{green:02x}{blue:02x}"


def _shrunk(image: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def _paced(frames: Iterable[Frame], frames_per_second: float) -> Iterator[Frame]:
    """Yield the pictures no faster than so many a second; the time is counted from the first."""
    iterator = iter(frames)
    with suppress(StopIteration):
        first = next(iterator)
        start = time.monotonic()
        for number, frame in enumerate(chain([first], iterator)):
            time.sleep(max(0.0, start + number / frames_per_second - time.monotonic()))
            yield frame
