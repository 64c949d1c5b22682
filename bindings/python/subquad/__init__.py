"""Softmax attention on the CPU.

`attention` computes it, exactly or to a tolerance, `attention_backward` its gradients, `merge` joins partial results over slices of the
keys, `info` describes the library and the machine. A `Plan` is what was decided to meet a tolerance, for any number of values; `plan`
makes it. A `ConvBasis` holds logits whose columns, as functions of the lag, change at few places, and attends with them in close to
linear time; `conv_basis_recover` and `conv_basis_fit` find one. `attention_loss` is a layer to train. `sparsify` chooses few columns
of a matrix that stand for all in softmax attention, and measures how well, as a `Sparsifier`; `leverage_scores` are the columns'
importance. Inside a `with progress(tell)` block long calls tell how far they are.

Arrays are of float32 or float64 with any strides, on the CPU: NumPy's, or tensors of libraries that speak DLPack, such as torch and JAX,
which are read where they lie. Kinds may be mixed. A call returns new arrays in the kind of the first array among its arguments, q for
`attention`; what takes no array returns NumPy's. `out` lets a call fill arrays that are there. Where columns are chosen, matrices may be
sparse ones of SciPy. Errors are `SubquadError`. The C header `subquad.h` is the reference manual of the library underneath.
"""

from ._adaptive import plan
from ._backward import Gradients, attention_backward
from ._column_blocks import column_blocks
from ._constants import VERSION, Status
from ._conv_basis import ConvBasis
from ._conv_recover import conv_basis_fit, conv_basis_recover
from ._errors import SubquadError
from ._fill import fill_uniform
from ._forward import attention
from ._leverage import leverage_scores
from ._loss import attention_loss
from ._merge import merge
from ._plan import Plan
from ._progress import progress
from ._report import Report, info
from ._sparsifier import Sparsifier
from ._sparsify import sparsify, sparsify_pair
from ._wisdom import export_wisdom, import_wisdom

__version__ = VERSION

__all__ = [
    "ConvBasis",
    "Gradients",
    "Plan",
    "Report",
    "Sparsifier",
    "Status",
    "SubquadError",
    "__version__",
    "attention",
    "attention_backward",
    "attention_loss",
    "column_blocks",
    "conv_basis_fit",
    "conv_basis_recover",
    "export_wisdom",
    "fill_uniform",
    "import_wisdom",
    "info",
    "leverage_scores",
    "merge",
    "plan",
    "progress",
    "sparsify",
    "sparsify_pair",
]
