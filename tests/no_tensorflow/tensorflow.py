"""Stands where TensorFlow would be found first in `make test-fast`, in the tests' processes and in those they start.

A file of tests that imports TensorFlow at its top, itself or through others, is left out. A test that comes to need it
only while it runs fails, for it lacks its mark.
"""

import os

import pytest

if "PYTEST_CURRENT_TEST" in os.environ:
    raise ImportError("This test starts TensorFlow: mark it with @pytest.mark.tensorflow.")
pytest.skip("each file of tests whose imports lead to TensorFlow", allow_module_level=True)
