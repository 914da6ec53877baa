"""What the examples share: the command line, the progress bar, the curve, and fair timing."""

import argparse
import statistics
import time
from pathlib import Path

OUT = Path(__file__).parent / "out"
COLOURS = ("#2f6fd0", "#d9822b", "#3d9a63", "#b0457b")


def command_line(description, steps=None):
    """Return the parser that every example starts from; `steps` is how many an example that trains does."""
    parser = argparse.ArgumentParser(description=description)
    if steps is not None:
        parser.add_argument("--steps", type=int, default=steps, help="training steps (default: %(default)s)")
        parser.add_argument("--dtype", choices=("float64", "float32"), help="one dtype instead of the example's choice")
        parser.add_argument("--quick", action="store_true", help="a twentieth of the steps")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the pictures (default: examples/out)")
    return parser


def chosen_steps(arguments):
    """Return how many steps the command line asks for."""
    return max(1, arguments.steps // 20) if arguments.quick else arguments.steps


def progress(steps, label, quiet=False):
    """Return ``range(steps)`` behind a progress bar."""
    if quiet:
        return range(steps)
    try:
        from tqdm import trange
    except ImportError:
        print(f"{label}: {steps} steps (a progress bar needs tqdm: pip install tqdm)")
        return range(steps)
    return trange(steps, desc=label, unit="step", mininterval=0.2)


def seconds_per_step(contenders, steps=100, rounds=11):
    """Return the seconds of one step of each contender: the median over rounds in which all take turns.

    Parameters
    ----------
    contenders : dict of str to callable
        Each callable does one step.
    """
    taken = {name: [] for name in contenders}
    for step in contenders.values():  # the first calls compile, and warm the caches of the machine
        for _ in range(3):
            step()
    for _ in range(rounds):
        for name, step in contenders.items():
            start = time.perf_counter()
            for _ in range(steps):
                step()
            taken[name].append((time.perf_counter() - start) / steps)
    return {name: statistics.median(times) for name, times in taken.items()}


def curves(path, series, title, ylabel, xlabel="step", log=False):
    """Draw lines into a picture file; `series` maps a label to ``(xs, ys)``."""
    def draw(axes):
        for (label, (xs, ys)), colour, style in zip(series.items(), COLOURS, ("-", "--", "-.", ":")):
            axes.plot(xs, ys, style, color=colour, linewidth=1.8, label=label)
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        if log:
            axes.set_yscale("log")
        axes.grid(color="#e6e9ee")
        if len(series) > 1:
            axes.legend(frameon=False)
    panels(path, draw)


def panels(path, *draws, size=(7.2, 3.8), rows=1):
    """Draw a picture file of several panels, row by row; each of `draws` is a function of its axes."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        print(f"no {path.name}: pictures of curves need matplotlib (pip install matplotlib)")
        return
    matplotlib.rcParams["svg.hashsalt"] = "tracejit"  # the same picture has the same bytes
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=size, layout="constrained")
    for draw, axes in zip(draws, figure.subplots(rows, -(-len(draws) // rows), squeeze=False).flat):
        draw(axes)
        axes.title.set_fontsize(10)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)
