"""Recurrent networks as scikit-learn estimators (extra `sklearn`): for Pipeline, cross_val_score and GridSearchCV.

    SequenceClassifier(cell="gru", hidden_size=32, random_state=0).fit(sequences, labels).predict(more)

SequenceClassifier    a class for each sequence
SequenceRegressor     one number or several for each sequence
SequenceTagger        a class for each step
SequenceForecaster    what follows a series

Sequences are a list of (T_i, F) arrays or one (N, T, F) array; an (N, F) array is N sequences of length 1.
"""

from importlib.util import find_spec

if find_spec("sklearn") is None:
    raise ModuleNotFoundError("these estimators need scikit-learn: pip install 'minirnn[sklearn]'")

from minirnn.interop.sklearn.classifiers import SequenceClassifier, SequenceTagger
from minirnn.interop.sklearn.regressors import SequenceForecaster, SequenceRegressor

__all__ = ["SequenceClassifier", "SequenceForecaster", "SequenceRegressor", "SequenceTagger"]
