"""Memory layouts of the cases' arrays: a dense parent array, an order of its axes, and a first index and step along each."""


def contiguous_strides(shape):
    """Row-major."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return strides


def _describe(name, shape, order, extent, first, step):
    parent = [0] * len(shape)
    size = 1
    for axis in reversed(order):
        parent[axis] = size
        size *= extent[axis]
    return {
        "name": name,
        "order": order,
        "extent": extent,
        "first": first,
        "step": step,
        "strides": [p * s for p, s in zip(parent, step, strict=True)],
        "offset": sum(p * f for p, f in zip(parent, first, strict=True)),
        "size": size,
    }


def fortran(shape):
    """Column-major: the first axis varies fastest."""
    axes = len(shape)
    return _describe("fortran", shape, list(range(axes))[::-1], list(shape), [0] * axes, [1] * axes)


def heads_inside(shape):
    """[.., n, H, d] in memory, seen as [.., H, n, d]: what models store after a projection."""
    axes = len(shape)
    order = list(range(axes))
    order[-3], order[-2] = order[-2], order[-3]
    return _describe("heads inside rows", shape, order, list(shape), [0] * axes, [1] * axes)


def padded(shape):
    """A block in the middle of a larger array: gaps before and after along every axis."""
    axes = len(shape)
    extent = [n + 3 + a for a, n in enumerate(shape)]
    return _describe("padded", shape, list(range(axes)), extent, [1 + a for a in range(axes)], [1] * axes)


def stepped(shape):
    """Every second element along the last axis, every third along the one before."""
    axes = len(shape)
    step = ([1] * axes + [3, 2])[-axes:]
    extent = [n * s for n, s in zip(shape, step, strict=True)]
    return _describe("stepped", shape, list(range(axes)), extent, [0] * axes, step)


def reversed_along(*axes):
    """Negative strides along the named axes."""

    def layout(shape):
        back = [a in [x % len(shape) for x in axes] for a in range(len(shape))]
        first = [n - 1 if b else 0 for n, b in zip(shape, back, strict=True)]
        step = [-1 if b else 1 for b in back]
        name = "reversed along axis " + ", ".join(str(a) for a, b in enumerate(back) if b)
        return _describe(name, shape, list(range(len(shape))), list(shape), first, step)

    return layout


def broadcast_along(axis):
    """Stride zero along one axis: all its elements are one and the same."""

    def layout(shape):
        a = axis % len(shape)
        extent = [1 if x == a else n for x, n in enumerate(shape)]
        step = [0 if x == a else 1 for x in range(len(shape))]
        return _describe(f"broadcast along axis {a}", shape, list(range(len(shape))), extent, [0] * len(shape), step)

    return layout


def distinct_shape(shape, layout):
    """The shape with which elements are numbered: broadcast axes count once."""
    return [1 if layout and layout["step"][a] == 0 else n for a, n in enumerate(shape)]
