"""Plans of tests/conformance/*.json, and what is asked of method auto beyond outputs within budgets."""

import numpy as np
import subquad
from adaptive_reference import errors, exact
from conformance import in_state
from subquad._constants import Part

RESULTS = {
    "plan_apply": ["o", "lse"],
    "plan_backward": ["dq", "dk", "dv"],
}
OF_HEADS = [
    *("parts", "pairs_exact", "pairs_low", "pairs_screened", "error", "error_low", "error_high", "fallback", "window"),
    *("heavy_columns", "selected_keys", "conv_bases", "head_seconds_plan"),
]


def keywords(options):
    """Options by their keywords: parts have names here."""
    if isinstance(options.get("parts"), int) and options["parts"] <= sum(Part):
        return options | {"parts": [part.name.lower() for part in Part if part & options["parts"]]}
    return options


class PlanCalls:
    """Calls on plans: `_given` and `_optional` give arrays by name, `plan` says how the plan is made."""

    def _planned(self):
        values = self._given("v")[0] if self.plan["values"] else None
        settings = self._optional("lag_bias", "key_ranges") | self.plan_options | self.threads
        return in_state(self.plan, subquad.plan(*self._given("q", "k"), values, **settings))

    def _plan_apply(self, out):
        with self._planned() as plan:
            o, lse, report = plan.apply(
                *self._given("v"), out=out, return_lse=True, return_report=True, **self.options, **self.threads
            )
        return {"o": o, "lse": lse}, report

    def _plan_backward(self, out):
        with self._planned() as plan:
            arrays = self._given("v", "o", "lse", "d_o")
            gradients, report = plan.backward(*arrays, out=out, return_report=True, **self.options, **self.threads)
        return gradients._asdict(), report


def check_report(report, heads, allowed):
    """It says of every head what it should, and nothing that contradicts itself. allowed: bits of parts."""
    values = {key: report.get(key, []) for key in OF_HEADS}
    listed = {key: value if isinstance(value, list) else [value] for key, value in values.items()}
    assert {key: len(value) for key, value in listed.items()} == dict.fromkeys(OF_HEADS, heads)
    assert isinstance(report["seed"], int)
    assert report["estimate"] in ("screened", "sampled")
    parts = {"screened" if part is Part.SCREENING else part.name.lower() for part in Part if part & allowed}
    for head in report.heads:
        assert set(head["parts"].split("+")) <= {"exact", "window"} | parts
        assert 0 <= head["error_low"] <= head["error"] <= head["error_high"]
        assert (head["parts"] == "exact") == (head["fallback"] != "")
        if head["fallback"]:
            assert head["pairs_low"] == head["pairs_screened"] == head["error_high"] == 0
    assert sum(sum(listed[key]) for key in OF_HEADS if key.startswith("pairs_")) <= report["pairs"]


def check_head_errors(call, o, largest):
    """Every head beside exact attention of the same arrays, in the relative Frobenius norm."""
    settings = call.plan_options if call.plan else call.options
    settings = call._optional("lag_bias", "key_ranges") | {key: value for key, value in settings.items() if key != "method"}
    assert (errors(o, exact(*call._given("q", "k", "v"), **settings)) <= largest).all()


def check_prefix(call, results, rows):
    """The same call on the first rows gives the first rows of the results."""
    for name in "qkv":
        call.arrays[name].array = call.arrays[name].array[..., :rows, :]
    short, _ = call.run()
    assert short["o"].tobytes() == np.ascontiguousarray(results["o"][..., :rows, :]).tobytes()
    assert short["lse"].tobytes() == np.ascontiguousarray(results["lse"][..., :rows]).tobytes()
