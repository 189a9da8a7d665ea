import sys

import pytest

from evacli import imaging
from evacli.errors import EvacliError


def test_gives_opencv():
    assert imaging.opencv().INTER_AREA == 3


def test_says_what_to_install_where_the_library_is_missing(monkeypatch):
    class WithoutLibGL:
        def find_spec(self, name, path=None, target=None):
            if name == "cv2":
                raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    monkeypatch.setattr(sys, "meta_path", [WithoutLibGL(), *sys.meta_path])
    with pytest.raises(EvacliError, match=r"libGL\.so\.1") as caught:
        imaging.opencv()
    assert "libgl1" in caught.value.fix
    assert "opencv-python-headless" in caught.value.fix
