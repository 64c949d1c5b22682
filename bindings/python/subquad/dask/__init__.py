"""Attention and sparsifiers of Dask arrays, for data that outgrow one machine.

`attention` and `attention_backward` take Dask arrays in chunks along batch, heads, queries and keys, and return Dask arrays: nothing is
computed, and nothing of the data is ever in one place, until and unless you ask for it. `sparsify` chooses columns of a matrix that lies
in chunks, reading one at a time, or has its Gram factor made where the chunks are; `column_blocks` is such a matrix for the package's other
functions. They run on any of Dask's schedulers; docs/scaling.md says what moves between the workers of a cluster, and what that costs.

Needs the extra `subquad[dask]`.
"""

from .._extras import needed

for _module in ("dask.array", "distributed"):  # here for all files of the folder, which import them as usual
    needed(_module, "dask")

from ._backward import attention_backward  # noqa: E402
from ._blocks import column_blocks  # noqa: E402
from ._forward import attention  # noqa: E402
from ._sparsify import sparsify  # noqa: E402

__all__ = ["attention", "attention_backward", "column_blocks", "sparsify"]
