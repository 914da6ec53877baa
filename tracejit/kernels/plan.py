"""The memory plan: temporaries of known lifetime packed into one arena."""

from itertools import count

from tracejit.kernels.control import Loop, inner_steps, walk

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


def lifetimes(steps, uses, results=()):
    """Return, by the name of each buffer that steps use, ``[first, last, top]``: when it is needed, counted through all
    nested steps, and the first outer step that needs it.

    What a loop uses and does not make anew in each turn is needed from the loop's beginning to its end. Buffers that
    change places are needed as long as each other, and with those named in `results` up to the end.
    """
    life, clock, twins = {}, count(), []

    def visit(step, top):
        begin, names = next(clock), set(uses(step))
        for name in names:
            life.setdefault(name, [begin, begin, top])[1] = begin
        for inner in inner_steps(step):
            for s in inner:
                names |= visit(s, top)
        if isinstance(step, Loop):
            end = next(clock)
            for name in names - step.local:
                life[name][0], life[name][1] = min(life[name][0], begin), end
            twins.extend((a.name, b.name) for a, b in step.swaps)
        return names

    for top, step in enumerate(steps):
        visit(step, top)
    end = next(clock)
    for name in results:
        if name in life:
            life[name][1] = end
    changed = True
    while changed:
        changed = False
        for a, b in twins:
            both = [min(life[a][0], life[b][0]), max(life[a][1], life[b][1]), min(life[a][2], life[b][2])]
            if life[a] != both or life[b] != both:
                life[a], life[b], changed = list(both), list(both), True
    return life


def together(steps, names):
    """Return the names and those of all buffers that change places with these, in one loop or another."""
    pairs = [(a.name, b.name) for s in walk(steps) if isinstance(s, Loop) for a, b in s.swaps]
    found, before = set(names), None
    while before != len(found):
        before = len(found)
        for pair in pairs:
            if not found.isdisjoint(pair):
                found.update(pair)
    return found
