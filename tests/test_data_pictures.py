from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from evacli.data import pictures
from evacli.data.files import File

RNG = np.random.default_rng(0)
# Smooth, so that JPEG changes little; its corners tell all eight orientations apart.
RAMP = np.stack(np.meshgrid(np.linspace(0, 255, 24), np.linspace(0, 255, 16)), -1).astype(np.uint8)
COLOR = np.concatenate([RAMP, np.full((16, 24, 1), 90, np.uint8)], -1)


def pixels(path, size=None, fit="stretch"):
    return pictures.pixels(File.at(path), size or size_of(path), fit)


def size_of(path):
    return pictures.size(File.at(Path(path)))


def save(array, path, mode=None, **options):
    Image.fromarray(array).convert(mode or Image.fromarray(array).mode).save(path, **options)
    return path


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_keep_every_pixel_whatever_the_name(tmp_path, kind):
    path = save(COLOR, tmp_path / "picture.jpg", format=kind)
    np.testing.assert_array_equal(pixels(path), COLOR)
    assert size_of(path) == (24, 16)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_come_close(tmp_path, kind):
    path = save(COLOR, tmp_path / "picture.png", format=kind, quality=95)
    assert np.abs(pixels(path).astype(int) - COLOR).mean() < 4


def test_grey_becomes_rgb(tmp_path):
    path = save(COLOR[..., 0], tmp_path / "grey.png")
    np.testing.assert_array_equal(pixels(path), np.repeat(COLOR[..., :1], 3, -1))


def test_black_and_white_becomes_rgb(tmp_path):
    Image.fromarray(COLOR[..., 0] > 127).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(pixels(tmp_path / "bits.png")[..., 0], np.where(COLOR[..., 0] > 127, 255, 0))


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_16_bit_grey_keeps_its_high_bytes(tmp_path, kind):
    deep = RNG.integers(0, 2**16, (16, 24), np.uint16)
    Image.fromarray(deep).save(tmp_path / f"deep.{kind}")
    np.testing.assert_array_equal(pixels(tmp_path / f"deep.{kind}")[..., 2], deep >> 8)


def test_palettes_are_looked_up(tmp_path):
    few = (COLOR // 128 * 255).astype(np.uint8)
    palette = Image.fromarray(few).quantize(8)
    assert palette.mode == "P"
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(pixels(tmp_path / "palette.png"), few)


def test_cmyk_becomes_rgb(tmp_path):
    path = save(COLOR, tmp_path / "cmyk.jpg", mode="CMYK", quality=100)
    assert np.abs(pixels(path).astype(int) - COLOR).mean() < 4


def transparent(alpha):
    return np.concatenate([COLOR, alpha[..., None]], -1)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_laid_over_white(tmp_path, kind):
    alpha = RNG.integers(0, 256, (16, 24)).astype(np.uint8)
    path = save(transparent(alpha), tmp_path / "a", format=kind, lossless=True)
    share = alpha[..., None] / 255
    assert np.abs(pixels(path) - (COLOR * share + 255 * (1 - share))).max() <= 1


def test_hidden_colors_do_not_show(tmp_path):
    path = save(transparent(np.zeros((16, 24), np.uint8)), tmp_path / "a.png")
    assert (pixels(path) == 255).all()


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "LA"])
def test_transparency_of_every_mode_is_laid_over_white(tmp_path, mode):
    black = Image.new(mode, (8, 8), {"RGB": (0, 0, 0), "LA": (0, 0)}.get(mode, 0))
    options = {"transparency": {"RGB": (0, 0, 0)}.get(mode, 0)} if mode != "LA" else {}
    black.save(tmp_path / "t.png", **options)
    assert (pixels(tmp_path / "t.png") == 255).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(tmp_path, kind):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a", format=kind, save_all=True, append_images=frames[1:], lossless=True)
    assert pixels(tmp_path / "a")[0, 0].tolist() == [255, 0, 0]


# What EXIF's eight orientations mean: how to turn the stored pixels to see them upright.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = save(COLOR, tmp_path / "turned", format=kind, exif=exif, quality=95)
    upright = UPRIGHT[orientation](COLOR)
    assert size_of(path) == upright.shape[1::-1]
    assert np.abs(pixels(path).astype(int) - upright).mean() < 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_orientation_in_xmp_counts_for_size_and_pixels_alike(tmp_path, kind):
    path = save(COLOR, tmp_path / "turned", format=kind, **xmp(kind, '<x tiff:Orientation="6"/>'))
    assert size_of(path) == pixels(path).shape[1::-1]


def xmp(kind, content):
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", content)
        return {"pnginfo": chunks}
    return {"tiffinfo": {700: content.encode()}} if kind == "TIFF" else {"xmp": content.encode(), "quality": 95}


def test_resizing_averages_over_the_area(tmp_path):
    noise = RNG.integers(0, 256, (256, 256, 3), np.uint8)
    path = save(noise, tmp_path / "noise.png")
    small = pixels(path, (16, 16)).astype(int)
    assert small.shape == (16, 16, 3)
    # A sample of single pixels would keep the noise's deviation of 74 grey levels.
    assert small.std() < 10
    assert abs(small.mean() - noise.mean()) < 1


def test_large_jpegs_lose_nothing_by_the_short_cut(tmp_path):
    large = np.asarray(Image.fromarray(COLOR).resize((1920, 1280)))
    path = save(large, tmp_path / "large.jpg", quality=95)
    expected = np.asarray(Image.fromarray(large).resize((24, 16), Image.Resampling.BOX))
    assert np.abs(pixels(path, (24, 16)).astype(int) - expected).max() < 6


def refusal(path):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the caller accepts whatever Pillow raises
        pixels(path)
    return str(caught.value)


def test_refuses_what_is_no_image(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "script.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    assert refusal(tmp_path / "empty.png") == "empty"
    assert refusal(tmp_path / "text.jpg") == "not an image"
    assert refusal(tmp_path / "script.eps") == "not an image"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "PPM", "WEBP"])
def test_refuses_truncated_images(tmp_path, kind):
    noise = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    path = save(noise, tmp_path / "cut", format=kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert refusal(path)


def test_refuses_bombs_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    for size in ((20_000, 9_000), (8_001, 8_000)):
        Image.new("1", size).save(tmp_path / "bomb.png")
        assert (tmp_path / "bomb.png").stat().st_size < 100_000
        assert refusal(tmp_path / "bomb.png") == "more than 64 megapixels"


def test_refuses_levels_without_an_agreed_range(tmp_path):
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "float.tiff")
    assert "no agreed range" in refusal(tmp_path / "float.tiff")
