# The raw module is written by SWIG from capi/subquad.h, which is its documentation.
from typing import Any

def __getattr__(name: str) -> Any: ...
