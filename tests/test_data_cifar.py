import gzip
import io
import pickle
import tarfile

import numpy as np
import pytest
from cifar_files import META_HEAD, batch, cifar10, planes, python2, random_images, write, write_tar

from evacli import data
from evacli.config import make
from evacli.data import containers
from evacli.errors import DataError

IMAGES = random_images(12)
LABELS = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]


def load(path, **settings):
    return data.load(make({"data": str(path), **settings}))


def refusal(path):
    with pytest.raises(DataError) as caught:
        load(path)
    assert "\n" not in caught.value.message + caught.value.fix
    return caught.value.message


def check_cifar10(loaded):
    np.testing.assert_array_equal(loaded.train.images.array, IMAGES[:10])
    np.testing.assert_array_equal(loaded.test.images.array, IMAGES[10:])
    assert loaded.train.labels.tolist() == LABELS[:10]
    assert loaded.train.labels.dtype == np.int64
    assert loaded.class_names == ("cat", "dog", "owl")
    assert loaded.flippable


@pytest.fixture
def files():
    return cifar10(IMAGES, LABELS)


def test_reads_the_python_version_from_its_folder_or_the_parent(tmp_path, files):
    write(tmp_path / "downloads/any name", files)
    check_cifar10(load(tmp_path / "downloads/any name"))
    check_cifar10(load(tmp_path / "downloads"))


def test_reads_archives_in_place_whatever_they_are_called(tmp_path, files):
    inside = {f"cifar-10-batches-py/{name}": content for name, content in files.items()}
    for path, mode in ((tmp_path / "a.zip", "w:gz"), (tmp_path / "b", "w")):
        check_cifar10(load(write_tar(path, inside, mode)))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "b"]


@pytest.mark.parametrize("protocol", range(5))
def test_reads_batches_that_python_3_wrote(tmp_path, protocol):
    files = cifar10(IMAGES, LABELS, dumps=lambda value: pickle.dumps(value, protocol))
    check_cifar10(load(write(tmp_path, files)))


def test_names_images_as_the_files_do(tmp_path, files):
    assert load(write(tmp_path, files)).test.names == ["image_0.png", "image_1.png"]


def test_reads_the_fine_labels_of_cifar100(tmp_path):
    names = python2({b"fine_label_names": [b"apple", b"bear"], b"coarse_label_names": [b"fruit"]})

    def split(part, fine):
        return python2({b"fine_labels": fine, b"coarse_labels": [0] * len(part), b"data": planes(part)})

    files = {"meta": names, "train": split(IMAGES[:3], [1, 0, 1]), "test": split(IMAGES[3:5], [0, 1])}
    loaded = load(write(tmp_path, files))
    assert loaded.class_names == ("apple", "bear")
    assert loaded.train.labels.tolist() == [1, 0, 1]
    assert loaded.train.names == ["0", "1", "2"]


def test_reads_the_binary_version_of_cifar10(tmp_path):
    def records(part):
        return b"".join(bytes([label]) + planes(IMAGES[i : i + 1]).tobytes() for i, label in part)

    numbered = list(enumerate(LABELS))
    files = {f"data_batch_{i + 1}.bin": records(numbered[2 * i : 2 * i + 2]) for i in range(5)}
    files |= {"test_batch.bin": records(numbered[10:]), "batches.meta.txt": b"cat\ndog\nowl\n\n"}
    check_cifar10(load(write(tmp_path / "folder", files)))
    inside = {f"cifar-10-batches-bin/{name}": content for name, content in files.items()}
    check_cifar10(load(write_tar(tmp_path / "x.tar.gz", inside)))


def test_reads_the_second_label_byte_of_binary_cifar100(tmp_path):
    def records(part):
        return b"".join(bytes([9, label]) + planes(IMAGES[i : i + 1]).tobytes() for i, label in part)

    files = {
        "train.bin": records([(0, 1), (1, 0)]),
        "test.bin": records([(2, 1)]),
        "fine_label_names.txt": b"apple\nbear\n",
        "coarse_label_names.txt": b"fruit\n",
    }
    loaded = load(write(tmp_path, files))
    np.testing.assert_array_equal(loaded.train.images.array, IMAGES[:2])
    assert loaded.train.labels.tolist() == [1, 0]
    assert loaded.test.labels.tolist() == [1]


def test_refuses_two_data_sets_at_one_path(tmp_path, files):
    write(tmp_path / "one", files)
    write(tmp_path / "two", files)
    assert "several data sets" in refusal(tmp_path)


@pytest.mark.parametrize("missing", ["data_batch_1", "data_batch_4", "test_batch", "batches.meta"])
def test_names_a_missing_file(tmp_path, files, missing):
    del files[missing]
    assert missing in refusal(write(tmp_path, files))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (batch(IMAGES[:2], [0, 7]), "labels outside 0 to 2"),
        (batch(IMAGES[:2], [-1, 0]), "labels outside 0 to 2"),
        (batch(IMAGES[:2], [True, 0]), "not a list of integers"),
        (batch(IMAGES[:2], [0.0, 1.0]), "FLOAT"),
        (batch(IMAGES[:2], [2**80, 1]), "too large"),
        (batch(IMAGES[:2], ["cat", 1]), "not a list of integers"),
        (batch(IMAGES[:2], [0]), "2 images, 1 label"),
        (batch(IMAGES[:1], [0]), "batches.meta says 2"),
        (batch(IMAGES[:2], [0, 1], names=[b"a"]), "2 labels and 1 name."),
        (batch(IMAGES[:2], [0, 1], key=b"fine_labels"), "labels"),
        (python2({b"labels": [0, 1], b"data": planes(IMAGES[:2])[:, :-1]}), "rows of 3072"),
        (python2({b"labels": [0, 1], b"data": planes(IMAGES[:2]).astype(np.float32)}), "not an array of uint8"),
        (python2({b"labels": [0, 1], b"data": np.array([{}, []], object)}), "not an array of uint8"),
        (python2({b"labels": [0, 1], b"data": b"pixels"}), "not an array"),
        (python2([1, 2]), "no dictionary"),
        (batch(IMAGES[:2], [0, 1])[:-1000], "data_batch_2"),
        (b"", "data_batch_2"),
    ],
)
def test_refuses_a_batch_that_is_not_as_it_should_be(tmp_path, files, content, expected):
    message = refusal(write(tmp_path, files | {"data_batch_2": content}))
    assert "data_batch_2" in message
    assert expected in message


def test_refuses_a_binary_batch_that_is_cut_short(tmp_path):
    files = {"train.bin": bytes(3074 + 5), "test.bin": bytes(3074), "fine_label_names.txt": b"a\nb\n"}
    assert "not a multiple" in refusal(write(tmp_path, files))


def test_refuses_classes_of_one_name(tmp_path):
    assert "same name" in refusal(write(tmp_path, cifar10(IMAGES, LABELS, names=("cat", "cat", "owl"))))


@pytest.mark.parametrize("name", ["../test_batch", "/tmp/test_batch", "a/../../test_batch"])
def test_refuses_archives_with_paths_that_lead_out(tmp_path, files, name):
    path = write_tar(tmp_path / "x.tar.gz", {**files, name: b"x"})
    assert "leads out of the archive" in refusal(path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.tar.gz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_refuses_archives_with_links_and_devices(tmp_path, files, kind):
    path = write_tar(tmp_path / "x.tar", files, "w")
    with tarfile.open(path, "a") as tar:
        info = tarfile.TarInfo("c/data_batch_1")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    assert "no plain file" in refusal(path)


def test_refuses_archives_that_unpack_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "MAX_BYTES", 2**20)
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(bytes(2**20 + 1)))
    assert "more than 1 MB" in refusal(tmp_path / "x.tar.gz")


def test_refuses_files_that_are_too_large(tmp_path, files, monkeypatch):
    monkeypatch.setattr(containers, "MAX_BYTES", 1000)
    assert "MB" in refusal(write(tmp_path, files))


def test_refuses_archives_of_too_many_files(tmp_path, files, monkeypatch):
    monkeypatch.setattr(containers, "MAX_MEMBERS", 3)
    assert "more than 3 files" in refusal(write_tar(tmp_path / "x.tar", files, "w"))


def test_refuses_archives_that_are_cut_short(tmp_path, files):
    path = write_tar(tmp_path / "x.tar.gz", files)
    path.write_bytes(path.read_bytes()[:-500])
    assert "x.tar.gz" in refusal(path)


def test_a_header_that_claims_terabytes_costs_nothing(tmp_path, files):
    info = tarfile.TarInfo("a/test_batch")
    info.size = 2**42
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2 * tarfile.BLOCKSIZE))
    assert "x.tar" in refusal(tmp_path / "x.tar")


def test_meta_of_cifar10_is_read_in_protocol_0(tmp_path, files):
    assert files["batches.meta"].startswith(META_HEAD % 2)
    assert load(write(tmp_path, files)).class_names == ("cat", "dog", "owl")


def header(name, kind, size, content=b""):
    """A tar member with a header that may lie about the size of its content."""
    info = tarfile.TarInfo(name)
    info.type = kind
    raw = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    raw[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw) + content + bytes(-len(content) % 512)


def record(key, value):
    """A line of a pax header, which begins with its own length."""
    rest = b" %s=%s\n" % (key, value)
    length = next(n for n in range(len(rest), len(rest) + 30) if n == len(str(n)) + len(rest))
    return b"%d%s" % (length, rest)


DIGITS = b"1" * 600_000
SPARSE = record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0") + record(b"GNU.sparse.name", b"a")
SMALL = record(b"mtime", b"1.5")
HEADERS = {
    "digits": (header("x", tarfile.XHDTYPE, len(DIGITS), DIGITS), "headers that are too large"),
    "digits for all": (header("x", tarfile.XGLTYPE, len(DIGITS), DIGITS), "headers that are too large"),
    "digits of Solaris": (header("x", tarfile.SOLARIS_XHDTYPE, len(DIGITS), DIGITS), "headers that are too large"),
    "long name": (header("x", tarfile.GNUTYPE_LONGNAME, len(DIGITS), DIGITS), "headers that are too large"),
    "long link": (header("x", tarfile.GNUTYPE_LONGLINK, len(DIGITS), DIGITS), "headers that are too large"),
    "chain of pax": (header("x", tarfile.XHDTYPE, len(SMALL), SMALL) * 2000, "x.tar"),
    "chain of names": (header("x", tarfile.GNUTYPE_LONGNAME, 2, b"a") * 2000, "x.tar"),
    "terabytes of pax": (header("x", tarfile.XHDTYPE, 2**42), "headers that are too large"),
    "negative pax": (header("x", tarfile.XHDTYPE, -512), "headers that are too large"),
    "negative file": (header("x", tarfile.REGTYPE, -512), "no plain file"),
    "sparse": (header("x", tarfile.GNUTYPE_SPARSE, 0), "no plain file"),
    "sparse in pax": (
        header("x", tarfile.XHDTYPE, len(SPARSE), SPARSE) + header("a", tarfile.REGTYPE, 2**20, b"9\n" * 2**19),
        "no plain file",
    ),
    "negative size in pax": (
        header("x", tarfile.XHDTYPE, 13, record(b"size", b"-512")[:13]) + header("a", tarfile.REGTYPE, 0),
        "no plain file",
    ),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_that_cost_time_or_memory_are_refused_before_they_are_read(tmp_path, kind):
    content, words = HEADERS[kind]
    (tmp_path / "x.tar").write_bytes(content + bytes(1024))
    message = refusal(tmp_path / "x.tar")
    assert "x.tar" in message
    assert words in message
    assert len(message) < 600


def test_a_long_name_is_cut_in_messages(tmp_path, files):
    message = refusal(write_tar(tmp_path / "x.tar", {**files, "a/../" + "n" * 5000: b"x"}, "w"))
    assert "leads out of the archive" in message
    assert len(message) < 600


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_archives_of_a_mac_and_of_python_are_read(tmp_path, files, form):
    with tarfile.open(tmp_path / "x.tar", "w", format=form) as tar:
        for name, content in files.items():
            for member, data_of in ((f"c/._{name}", b"x"), (f"__MACOSX/c/{name}", b"x"), (f"c/{name}", content)):
                info = tarfile.TarInfo(member)
                info.size, info.mtime = len(data_of), 1.5
                info.pax_headers = {"LIBARCHIVE.xattr.com.apple.quarantine": "MDA4MTs1" * 20}
                tar.addfile(info, io.BytesIO(data_of))
    check_cifar10(load(tmp_path / "x.tar"))


@pytest.mark.parametrize("names", [("cat", "cat", "owl"), ("cat",)])
def test_wrong_class_names_are_told_with_the_archive(tmp_path, names):
    files = cifar10(IMAGES, [0] * 12, names=names)
    message = refusal(write_tar(tmp_path / "x.tar.gz", {f"c/{name}": content for name, content in files.items()}))
    assert "x.tar.gz/c/batches.meta" in message
