"""Softmax attention on the CPU.

`attention` computes it, `attention_backward` its gradients, `merge` joins partial results over slices of the keys, `info` describes the
library and the machine. Arrays are NumPy arrays of float32 or float64 with any strides; errors are `SubquadError`. The C header
`subquad.h` is the reference manual of the library underneath.
"""

from ._backward import Gradients, attention_backward
from ._constants import VERSION, Status
from ._errors import SubquadError
from ._fill import fill_uniform
from ._forward import attention
from ._merge import merge
from ._report import Report, info

__version__ = VERSION

__all__ = [
    "Gradients",
    "Report",
    "Status",
    "SubquadError",
    "__version__",
    "attention",
    "attention_backward",
    "fill_uniform",
    "info",
    "merge",
]
