"""Diagrams of boxes and arrows for lectures, drawn by matplotlib as all their figures are."""

from collections.abc import Mapping, Sequence

__all__ = ["diagram"]

COLOURS = {"plain": "#f3f4f6", "learns": "#dbeafe", "stored": "#ffedd5"}


def diagram(boxes: Mapping[str, tuple[float, float, str]], arrows: Sequence[tuple[str, str, str]], size: tuple[float, float]) -> None:
    """Draw boxes, and arrows from one to another.

    Args:
        boxes: text -> (x, y) of its middle in inches, and `plain`, `learns` or `stored`.
        arrows: (from, to, what flows), the boxes by their texts.
        size: width and height in inches.

    Raises:
        KeyError: an arrow names a box that there is not.
    """
    from matplotlib import pyplot

    axes = pyplot.figure(figsize=size).add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, size[0]), ylim=(0, size[1]))
    axes.axis("off")
    patches = {}
    for text, (x, y, kind) in boxes.items():
        frame = {"boxstyle": "round,pad=0.5", "facecolor": COLOURS[kind], "edgecolor": "#6b7280"}
        patches[text] = axes.text(x, y, text, ha="center", va="center", fontsize=9, bbox=frame, zorder=3).get_bbox_patch()
    for start, end, label in arrows:
        places = boxes[start][:2], boxes[end][:2]
        arrow = {"arrowstyle": "->", "color": "#374151", "patchA": patches[start], "patchB": patches[end]}
        axes.annotate("", places[1], places[0], arrowprops=arrow)
        x, y = ((one + other) / 2 for one, other in zip(*places, strict=True))
        axes.text(x, y, label, ha="center", va="center", fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
