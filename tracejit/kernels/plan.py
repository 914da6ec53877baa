"""The memory plan: temporaries of known lifetime packed into one arena."""

ALIGN = 64


def rounded(nbytes):
    """Return a size in bytes rounded up to the alignment of buffers."""
    return max(ALIGN, -(-nbytes // ALIGN) * ALIGN)


def pack(lifetimes):
    """Place buffers so that those alive at the same time do not overlap.

    Parameters
    ----------
    lifetimes : list of (bytes, first step, last step)

    Returns
    -------
    tuple
        The offset of each, and the size of the arena. Larger buffers are placed first, each at the lowest free address.
    """
    offsets, placed = [0] * len(lifetimes), []
    for i in sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i][0], lifetimes[i][1], i)):
        nbytes, first, last = lifetimes[i]
        nbytes = rounded(nbytes)
        at = 0
        for begin, end in sorted((b, e) for b, e, f, g in placed if f <= last and first <= g):
            if at + nbytes <= begin:
                break
            at = max(at, end)
        offsets[i] = at
        placed.append((at, at + nbytes, first, last))
    return offsets, max((end for _, end, _, _ in placed), default=0)
