"""Calls of tests/conformance/*.json as calls to the package: options as keywords, results by name."""

import conformance_plan
import conformance_sparsify
import numpy as np
import subquad
from conformance import in_state

RESULTS = {
    "attention": ["o", "lse"],
    "attention_backward": ["dq", "dk", "dv", "d_lag_bias"],
    "attention_loss": ["loss", "grad_x"],
    "attention_merge": ["o", "lse"],
    "conv_basis_apply": ["o", "lse"],
    "conv_basis_apply_transposed": ["y"],
    "conv_basis_backward": ["dq", "dk", "dv"],
    "conv_basis_get": ["starts_out", "kernels_out"],
    "conv_basis_multiply": ["y"],
    "conv_basis_multiply_transposed": ["y"],
    "conv_basis_to_dense": ["h_out"],
    "fill_uniform": ["x"],
    **conformance_plan.RESULTS,
    **conformance_sparsify.RESULTS,
}
# The results that can be written to arrays of the caller's, in the order of `out`.
OUT = {
    "attention": ["o", "lse"],
    "attention_backward": ["dq", "dk", "dv", "d_lag_bias"],
    "attention_loss": ["grad_x"],
    "attention_merge": ["o", "lse"],
    "conv_basis_apply": ["o", "lse"],
    "conv_basis_apply_transposed": ["y"],
    "conv_basis_backward": ["dq", "dk", "dv"],
    "conv_basis_get": ["kernels_out"],
    "conv_basis_multiply": ["y"],
    "conv_basis_multiply_transposed": ["y"],
    "conv_basis_to_dense": ["h_out"],
    "fill_uniform": ["x"],
    "leverage_scores": ["scores"],
    "plan_apply": ["o", "lse"],
    "plan_backward": ["dq", "dk", "dv"],
    "sparsifier_attention": ["o", "lse"],
}


def keywords(options):
    """Options by their keywords; JSON has no NaN or infinity."""
    words = ("nan", "inf", "-inf")
    numbers = {name.removeprefix("conv_"): float(value) if value in words else value for name, value in options.items()}
    return conformance_plan.keywords(conformance_sparsify.keywords(numbers))


class Call(conformance_plan.PlanCalls, conformance_sparsify.SparsifierCalls):
    """A call: its arrays, and a run that returns the results by name and the report."""

    def __init__(
        self,
        function,
        dtype,
        options,
        specs,
        fill=None,
        count=None,
        context=None,
        conv_basis=None,
        sparsifier=None,
        plan=None,
        set_as=None,
    ):
        self.function = function
        self.options = keywords(
            {name: float(value) if (set_as or {}).get(name) == "float" else value for name, value in options.items()}
        )
        self.fill = {name: float(value) if isinstance(value, str) else value for name, value in (fill or {}).items()}
        self.count = count
        self.threads = {"threads": context["threads"]} if context else {}
        self.conv_basis = conv_basis
        self.sparsifier = sparsifier
        self.plan = plan
        self.plan_options = keywords(plan["options"]) if plan else {}
        self.specs = specs
        self.arrays = {}
        for name in sorted(specs, key=lambda name: "same_as" in specs[name]):
            self.arrays[name] = conformance_sparsify.made(specs[name], dtype, self.arrays)

    @classmethod
    def of(cls, row, specs):
        """From a case or a patched base."""
        optional = {
            name: row[name] for name in ("fill", "count", "context", "conv_basis", "sparsifier", "plan", "set_as") if name in row
        }
        return cls(row["function"], row["dtype"], row["options"], specs, **optional)

    def out(self, arrays):
        """The arrays of this call's outputs, by name, as its `out`: the only one there can be by itself, and so o without lse."""
        names = OUT.get(self.function, [])
        given = [arrays[name].array if name in arrays else None for name in names]
        if all(array is None for array in given):
            return None
        alone = len(given) == 1 or (names[0] == "o" and all(array is None for array in given[1:]))
        return given[0] if alone else tuple(given)

    def run(self, out=None):
        """out: what to give as `out`, where the function has that argument."""
        run = self._of_basis if self.conv_basis else getattr(self, f"_{self.function}")
        return run(out)

    def _given(self, *names):
        return [self._argument(name) if name in self.arrays else None for name in names]

    def _argument(self, name):
        return conformance_sparsify.matrix(self.specs[name], self.arrays[name].array)

    def _optional(self, *names):
        return {name: self.arrays[name].array for name in names if name in self.arrays}

    def _fill_uniform(self, out):
        return {"x": subquad.fill_uniform(out.shape, **self.fill, dtype=out.dtype, out=out)}, None

    def _attention_merge(self, out):
        parts = [self._given(*(f"{name}[{p}]" for p in range(self.count))) for name in ("o_parts", "lse_parts")]
        return dict(zip(["o", "lse"], subquad.merge(*parts, out=out, **self.options, **self.threads), strict=True)), None

    def _attention(self, out):
        settings = self._optional("lag_bias", "key_ranges") | self.options | self.threads
        o, lse, report = subquad.attention(*self._given("q", "k", "v"), out=out, return_lse=True, return_report=True, **settings)
        return {"o": o, "lse": lse}, report

    def _attention_backward(self, out):
        settings = self._optional("lag_bias", "key_ranges") | self.options | self.threads
        arrays = self._given("q", "k", "v", "o", "lse", "d_o")
        gradients, report = subquad.attention_backward(*arrays, out=out, return_report=True, **settings)
        return gradients._asdict(), report

    def _attention_loss(self, out):
        arrays = self._given("a1", "a2", "a3", "x", "y", "e")
        loss, grad_x, report = subquad.attention_loss(*arrays, out=out, return_report=True, **self.options, **self.threads)
        return {"loss": np.array([loss]), "grad_x": grad_x}, report

    def _made(self):
        settings = keywords(self.conv_basis["options"]) | self.threads
        kind = self.conv_basis["made_by"]
        if kind == "create":
            starts, kernels = self._given("starts", "kernels")
            basis = subquad.ConvBasis(starts=starts, kernels=kernels, **settings)
        elif kind == "from_dense":
            basis = subquad.ConvBasis.from_dense(*self._given("h"), **settings)
        elif kind == "recover":
            # It has no defaults for these: what is not given is given as None.
            basis = subquad.conv_basis_recover(
                *self._given("q", "k"), **{"bases": None, "window": None, "delta": None} | settings
            )
        else:
            basis = subquad.conv_basis_fit(*self._given("q", "k"), **settings)
        return in_state(self.conv_basis, basis.exp(**self.threads) if self.conv_basis.get("exp") else basis)

    def _of_basis(self, out):
        settings = self.options | self.threads
        with self._made() as basis:
            method = self.function.removeprefix("conv_basis_")
            if method == "get":
                full = (basis.batch, basis.heads, basis.bases)
                kernels = basis.kernels(out=out, **self.options).reshape(*full, basis.n)
                return {"starts_out": basis.starts.reshape(full), "kernels_out": kernels}, None
            if method == "to_dense":
                return {"h_out": basis.to_dense(out=out, **settings)}, None
            if method == "backward":
                gradients, report = basis.backward(*self._given("q", "k", "v", "d_o"), out=out, return_report=True, **settings)
                return gradients._asdict(), report
            if method == "apply":
                o, lse, report = basis.apply(*self._given("v"), out=out, return_lse=True, return_report=True, **settings)
                return {"o": o, "lse": lse}, report
            y, report = getattr(basis, method)(*self._given("x"), out=out, return_report=True, **settings)
            return {"y": y}, report
