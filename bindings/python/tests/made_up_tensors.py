"""A library of tensors that speak DLPack."""


class Memory:
    """It speaks DLPack, and little else. old: as before version 1, which does not say what is read-only."""

    def __init__(self, array, device=1, old=False):
        self.array, self.device, self.old = array, device, old
        self.handed_over = 0

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: f"made_up.{self.array.dtype}")

    def __dlpack_device__(self):
        return self.device, 0

    def __dlpack__(self, *, stream=None, **version):
        if self.old and version:
            raise TypeError("an old library knows no versions")
        self.handed_over += 1
        return self.array.__dlpack__(stream=stream, **version)

    def __getitem__(self, index):
        return self.array[index]

    def __setitem__(self, index, value):
        self.array[index] = value


class Tensor(Memory):
    """Memory of a library that can make more of it."""

    def __array_namespace__(self):
        return Library


class Library:
    """What makes tensors of arrays."""

    from_dlpack = Tensor
