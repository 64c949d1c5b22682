"""ColumnSparsifier among scikit-learn's estimators: its own checks, names and frames, pipelines, settings that are refused."""

import os
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import scipy.sparse
from sparsify_reference import fill, generic

pytest.importorskip("sklearn", reason="the extra subquad[sklearn] is not installed")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from subquad.sklearn import ColumnSparsifier

#: One of each kind, for scikit-learn's checks, whose data may have few features.
CHECKED = [{}, {"columns": 3}, {"method": "deterministic"}, {"eps": 0.9, "weighted": False}, {"certify": False}]
#: scikit-learn's checks that cannot apply, with the reason: there are none.
NOT_APPLICABLE: dict[str, str] = {}


def python(script, **environment):
    return subprocess.run(
        [sys.executable, "-P", "-W", "error::FutureWarning", "-c", textwrap.dedent(script)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_check_estimator():
    """Every check passes. In a process of its own: SCIPY_ARRAY_API, which one of them needs, is read when scipy is imported."""
    done = python(
        f"""
        from sklearn.utils.estimator_checks import check_estimator
        from subquad.sklearn import ColumnSparsifier
        for settings in {CHECKED!r}:
            results = check_estimator(ColumnSparsifier(**settings), expected_failed_checks={NOT_APPLICABLE!r}, on_fail=None)
            for result in results:
                if result["status"] != "passed":
                    print(settings, result["check_name"], result["status"], repr(result["exception"]))
            print(len(results) > 40)
        """,
        SCIPY_ARRAY_API="1",
    )
    assert (done.stderr, done.stdout.split()) == ("", ["True"] * len(CHECKED))


@pytest.mark.parametrize(
    "check",
    [
        "check_get_feature_names_out_error",
        "check_transformer_get_feature_names_out",
        "check_set_output_transform",
        "check_dataframe_column_names_consistency",
        "check_transformer_get_feature_names_out_pandas",
        "check_set_output_transform_pandas",
        "check_global_output_transform_pandas",
    ],
)
def test_checks_of_names_and_frames(check):
    """Those that `check_estimator` leaves out."""
    if "pandas" in check or "dataframe" in check:
        pytest.importorskip("pandas", reason="pandas is not installed")
    getattr(estimator_checks, check)("ColumnSparsifier", ColumnSparsifier(columns=2, random_state=0))


def test_names():
    x = generic(6, 400)
    chooser = ColumnSparsifier(columns=3, random_state=0).fit(x)
    names = [f"gene {j}" for j in range(400)]
    assert chooser.get_feature_names_out().tolist() == [f"x{j}" for j in chooser.columns_]
    assert chooser.get_feature_names_out(names).tolist() == [names[j] for j in chooser.columns_]
    with pytest.raises(ValueError, match="input_features"):
        chooser.get_feature_names_out(names[1:])
    with pytest.raises(NotFittedError):
        ColumnSparsifier().get_feature_names_out()


def test_data_frames():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(generic(6, 400), columns=[f"gene {j}" for j in range(400)], index=list("abcdef"))
    chooser = ColumnSparsifier(columns=5, random_state=0).set_output(transform="pandas").fit(frame)
    y = chooser.transform(frame)
    assert list(y.columns) == [f"gene {j}" for j in chooser.columns_] == chooser.get_feature_names_out().tolist()
    assert list(y.index) == list("abcdef")
    assert (y.to_numpy() == generic(6, 400)[:, chooser.columns_] * np.sqrt(chooser.weights_)).all()
    with pytest.raises(ValueError, match="feature names"):
        chooser.transform(frame.rename(columns={"gene 3": "other"}))


def classes(rows, features):
    """Two classes that differ in a tenth of many features."""
    y = np.arange(rows) % 2
    x = fill(9, rows, features)
    x[:, ::10] += np.where(y, 0.6, -0.6)[:, None]
    return x, y


def test_in_a_pipeline():
    x, y = classes(60, 3000)
    model = make_pipeline(ColumnSparsifier(columns=200, random_state=0), KNeighborsClassifier())
    search = GridSearchCV(model, {"columnsparsifier__columns": [2, 400]}, cv=3).fit(x, y)
    assert search.best_params_ == {"columnsparsifier__columns": 400}
    assert model.fit(x[:40], y[:40]).score(x[40:], y[40:]) == 1


def test_pickled_and_cloned():
    x = generic(6, 400)
    chooser = ColumnSparsifier(columns=30, random_state=0, eps=None, certify="exact").fit(x)
    again = pickle.loads(pickle.dumps(chooser))
    assert again.transform(x).tobytes() == chooser.transform(x).tobytes()
    assert (again.epsilon_, dict(again.report_)) == (chooser.epsilon_, dict(chooser.report_))
    fresh = clone(chooser)
    assert fresh.get_params() == chooser.get_params()
    assert not hasattr(fresh, "columns_")
    assert repr(fresh) == "ColumnSparsifier(certify='exact', columns=30, random_state=0)"


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"columns": 3, "eps": 0.5}, ValueError, "columns.*eps"),
        ({"columns": 0}, ValueError, "columns is 0"),
        ({"columns": 2.5}, TypeError, "columns is 2.5"),
        ({"columns": "many"}, TypeError, "columns is 'many'"),
        ({"eps": 2}, ValueError, "eps is 2"),
        ({"delta": 0.0}, ValueError, "delta is 0"),
        ({"method": "deterministic", "columns": 4}, ValueError, "columns is 4.*rank"),
        ({"method": "gram"}, ValueError, 'method is "gram", which chooses no columns'),
        ({"method": "best"}, ValueError, "method is 'best'"),
        ({"certify": True}, TypeError, "certify is True"),
        ({"weighted": 1}, ValueError, "weighted is 1"),
        ({"random_state": "now"}, ValueError, "now"),
        ({"random_state": -1}, ValueError, "random_state is -1"),
        ({"threads": 0}, ValueError, "threads is 0"),
    ],
)
def test_bad_settings(settings, kind, words):
    """Found at `fit`, as scikit-learn asks; then nothing has been fitted."""
    chooser = ColumnSparsifier(**settings)
    with pytest.raises(kind, match=words):
        chooser.fit(generic(6, 50))
    assert not hasattr(chooser, "columns_")


@pytest.mark.parametrize(
    ("x", "kind", "words"),
    [
        (np.zeros((3, 9)), ValueError, "X is zero everywhere"),
        (scipy.sparse.csc_array((3, 9)), ValueError, "X is zero everywhere"),
        (np.full((3, 9), np.nan), ValueError, "NaN"),
        (np.full((3, 9), 1e200), OverflowError, "X: the norm of row 0"),
        (np.zeros((0, 9)), ValueError, "0 sample"),
        (np.zeros(9), ValueError, "Expected 2D"),
        ([["a", "b"]], ValueError, "could not convert"),
        (None, ValueError, "Expected 2D"),
    ],
)
def test_bad_x(x, kind, words):
    with pytest.raises(kind, match=words):
        ColumnSparsifier(columns=2).fit(x)


def test_unfitted_and_other_features():
    x = generic(6, 50)
    for call in ("transform", "inverse_transform", "get_support"):
        with pytest.raises(NotFittedError):
            getattr(ColumnSparsifier(), call)(*([] if call == "get_support" else [x]))
    with pytest.raises(ValueError, match="expecting 50 features"):
        ColumnSparsifier(columns=3).fit(x).transform(x[:, 1:])


def test_missing_scikit_learn_is_named():
    done = python(
        """
        import sys
        sys.modules["sklearn"] = None
        import subquad
        try:
            import subquad.sklearn
        except ModuleNotFoundError as missing:
            print(missing)
        """
    )
    assert done.stderr == ""
    assert "pip install 'subquad[sklearn]'" in done.stdout


def test_a_fit_that_fails_leaves_nothing_of_the_one_before():
    estimator = ColumnSparsifier(columns=5).fit(np.eye(4, 30) + 1)
    with pytest.raises(ValueError, match="X is zero everywhere"):
        estimator.fit(np.zeros((4, 30)))
    with pytest.raises(NotFittedError):
        estimator.transform(np.zeros((4, 30)))
