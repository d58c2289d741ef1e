"""Image files of every kind, created here: the resulting pixels, and the error for unusable files."""

import glob
import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graph_resnet.data import image_files
from graph_resnet.errors import UserError
from tests.helpers import ROOT, as_nobody, needs_root, png

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def halves(left, right, width=64, height=64, mode="RGB"):
    image = Image.new(mode, (width, height), left)
    image.paste(right, (width // 2, 0, width, height))
    return image


def why(path):
    with pytest.raises(UserError) as caught:
        image_files.load(path, 32)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_an_image_of_the_right_size_is_unchanged(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for name in ("a.png", "a.bmp"):
        Image.fromarray(pixels).save(tmp_path / name)
        loaded = image_files.load(tmp_path / name, 32)
        assert loaded.dtype == np.uint8
        np.testing.assert_array_equal(loaded, pixels)


def test_a_larger_one_is_averaged_not_sampled(tmp_path):
    pixels = np.zeros((96, 96, 3), np.uint8)
    pixels[::3, ::3] = 252  # one pixel in nine
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(image_files.load(tmp_path / "a.png", 32), np.full((32, 32, 3), 28))


@pytest.mark.parametrize("size", [(128, 64), (64, 128), (127, 64)])
def test_the_centre_is_used(tmp_path, size):
    image = Image.new("RGB", size, RED)
    edge = min(size)
    left, top = (size[0] - edge) // 2, (size[1] - edge) // 2
    image.paste(GREEN, (left, top, left + edge, top + edge))
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(image_files.load(tmp_path / "a.png", 32), np.full((32, 32, 3), GREEN))


@pytest.mark.parametrize("size", [(1, 1), (20_000, 3), (3, 20_000)])
def test_odd_sizes(tmp_path, size):
    Image.new("RGB", size, BLUE).save(tmp_path / "a.png")
    np.testing.assert_array_equal(image_files.load(tmp_path / "a.png", 32), np.full((32, 32, 3), BLUE))


@pytest.mark.parametrize(
    ("mode", "color", "expected", "ending"),
    [
        ("CMYK", (0, 255, 255, 0), RED, "jpg"),
        ("L", 77, (77, 77, 77), "png"),
        ("L", 77, (77, 77, 77), "gif"),
        ("1", 1, WHITE, "png"),
        ("LA", (0, 0), WHITE, "png"),
        ("RGBA", (255, 0, 0, 0), WHITE, "png"),
        ("RGBA", (255, 0, 0, 51), (255, 204, 204), "png"),
        ("I;16", 0x4D80, (0x4D, 0x4D, 0x4D), "png"),
        ("RGB", RED, RED, "webp"),
        ("RGBA", (255, 0, 0, 0), WHITE, "webp"),
        ("L", 77, (77, 77, 77), "jfif"),
    ],
)
def test_modes(tmp_path, mode, color, expected, ending):
    path = tmp_path / f"a.{ending}"
    Image.new(mode, (40, 32), color).save(path)
    assert np.abs(image_files.load(path, 32).astype(int) - expected).max() <= (0 if ending in ("png", "gif") else 3)


def test_palette_with_a_transparent_colour(tmp_path):
    image = Image.new("P", (32, 32), 1)
    image.putpalette([0, 0, 0, *RED, *GREEN])
    image.paste(2, (0, 0, 16, 32))
    for name in ("a.png", "a.gif"):
        image.save(tmp_path / name, transparency=1)
        loaded = image_files.load(tmp_path / name, 32)
        assert loaded[5, 5].tolist() == list(GREEN) and loaded[5, 25].tolist() == list(WHITE)


def test_sixteen_bits_of_colour(tmp_path):
    row = b"\0" + struct.pack(">HHH", 0x8040, 0x2000, 0xFFFF) * 4
    (tmp_path / "a.png").write_bytes(png(4, 4, row * 4, depth=16))
    np.testing.assert_array_equal(image_files.load(tmp_path / "a.png", 32), np.full((32, 32, 3), (0x80, 0x20, 0xFF)))


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (32, 32), color) for color in (RED, GREEN)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(image_files.load(tmp_path / "a.gif", 32), np.full((32, 32, 3), RED))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_orientation(tmp_path, orientation, ending):
    """Displayed correctly, the image has a red quarter at the top left and a green one at the top right."""
    seen = np.zeros((32, 32, 3), np.uint8)
    seen[:16, :16], seen[:16, 16:] = RED, GREEN
    stored = {  # the EXIF standard: which side of the image row 0 and column 0 of the file show
        1: seen,  # top, left
        2: seen[:, ::-1],  # top, right
        3: seen[::-1, ::-1],  # bottom, right
        4: seen[::-1],  # bottom, left
        5: seen.transpose(1, 0, 2),  # left, top
        6: seen[:, ::-1].transpose(1, 0, 2),  # right, top
        7: seen[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
        8: seen[::-1].transpose(1, 0, 2),  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=95, subsampling=0)
    assert np.abs(image_files.load(path, 32).astype(int) - seen).max() <= 3


def test_damaged_exif_data_is_ignored(tmp_path):
    Image.new("RGB", (32, 32), WHITE).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + b"\xff" * 40)
    np.testing.assert_array_equal(image_files.load(tmp_path / "a.jpg", 32), np.full((32, 32, 3), 255))


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "gif", "webp"])
def test_truncated(tmp_path, ending):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"whole.{ending}")
    whole = (tmp_path / f"whole.{ending}").read_bytes()
    path = tmp_path / f"half.{ending}"
    path.write_bytes(whole[: len(whole) // 2])
    assert "truncated" in why(path) or "damaged" in why(path)


def test_files_that_are_not_images(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    assert why(tmp_path / "a.png") == "not an image in PNG, JPEG, BMP, GIF or WebP"
    (tmp_path / "empty.png").touch()
    assert why(tmp_path / "empty.png") == "empty"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.tiff")
    assert why(tmp_path / "a.tiff") == "not an image in PNG, JPEG, BMP, GIF or WebP"
    assert why(tmp_path / "none.png") == "No such file or directory"
    os.mkfifo(tmp_path / "fifo.png")
    assert why(tmp_path / "fifo.png") == "not a regular file"
    (tmp_path / "link.png").symlink_to("nowhere")
    assert why(tmp_path / "link.png") == "No such file or directory"


@pytest.mark.parametrize("width", [10_000, 100_000])
def test_decompression_bomb(tmp_path, width):
    """Small on disk, but 300 MB or 3 GB in memory."""
    (tmp_path / "a.png").write_bytes(png(width, 10_000))
    assert why(tmp_path / "a.png") == "more than 89,478,485 pixels"


def test_each_damaged_file_gives_one_line(tmp_path):
    """Bytes of real files, overwritten at random: an image or a UserError, nothing else."""
    rng, outcomes = np.random.default_rng(1), set()
    for name in ("a.png", "a.jpg", "a.bmp", "a.gif", "a.webp"):
        buffer = io.BytesIO()
        buffer.name = name
        halves(RED, BLUE, 40, 32).save(buffer)
        for _ in range(100):
            data = np.frombuffer(buffer.getvalue(), np.uint8).copy()
            data[rng.integers(0, len(data), 4)] = rng.integers(0, 256, 4)
            (tmp_path / name).write_bytes(data.tobytes())
            try:
                outcomes.add(image_files.load(tmp_path / name, 32).shape)
            except UserError as error:
                assert str(error).startswith(f"{tmp_path / name}: ") and "\n" not in str(error)
                outcomes.add("error")
    assert outcomes == {(32, 32, 3), "error"}


def test_a_file_has_a_size_limit(tmp_path):
    """A GIF without an image: Pillow would read it byte by byte."""
    with open(tmp_path / "a.gif", "wb") as file:
        file.write(b"GIF89a\1\0\1\0\0\0\0")
        file.truncate(61 << 30)
    assert why(tmp_path / "a.gif") == "65,498,251,264 bytes, more than 357,913,940"


def expand(argument):
    """The files from `image_files.expand`, which must not report anything."""
    files, errors, _ = image_files.expand(argument)
    assert not errors
    return files


def refused(argument):
    with pytest.raises(UserError) as caught:
        image_files.expand(argument)
    return str(caught.value)


def test_expand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "A.JPG", "c.txt", "sub/d.gif", "[1].bmp", "sub/._d.gif", ".thumbs/1.png", "__MACOSX/b.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert expand(".") == ["A.JPG", "[1].bmp", "b.png", "sub/d.gif"]
    assert expand("c.txt") == ["c.txt"]  # tried, because the user named it
    assert expand("[1].bmp") == ["[1].bmp"]  # a file first, a pattern if there is no such file
    assert expand("*.[pg]*") == ["b.png"]
    assert expand("**/*.gif") == ["sub/d.gif"]
    assert expand(".thumbs") == [".thumbs/1.png"]  # read, because the user named it
    assert refused("none.png") == "none.png: no such file"
    assert refused("none*") == "none*: no such file, nor any that matches"
    assert refused("b.png/c.png") == "b.png/c.png: no such file"
    assert refused("").startswith("an empty file name: is a variable unset?")
    assert refused("x" * 300 + ".png").endswith(".png: File name too long")
    assert refused("a\0.png") == "a\\x00.png: a null character in the name"
    (tmp_path / "bare").mkdir()
    assert refused("bare").startswith("bare: no .png, .jpg, ") and refused("bare").endswith("file in this directory")
    (tmp_path / "bare" / "1.HEIC").touch()
    assert refused("bare").endswith("file in this directory; it has 1 .heic file")


def test_a_pattern_does_not_follow_links(tmp_path, monkeypatch):
    """Two links to a parent folder give 2**40 paths before the system refuses the next."""
    monkeypatch.chdir(tmp_path)
    for name in ("0.png", "[x]/y/1.png", "[x]/y/z/2.png", ".hidden/3.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("[x]/here").symlink_to(".")
    Path("[x]/up").symlink_to("..")
    inner = ["[x]/y/1.png", "[x]/y/z/2.png"]
    for pattern, files in (
        ("**/*.png", ["0.png", *inner]),
        ("**/**/y/**", inner),
        ("./**/z//*.png", ["./[x]/y/z/2.png"]),
        ("[[]x]/**/*.png", inner),
        ("[[]x]/here/**/1.png", ["[x]/here/y/1.png"]),
        (f"{glob.escape(str(tmp_path))}/**/0.png", [str(tmp_path / "0.png")]),
    ):
        assert image_files.expand(pattern).files == files


def test_skipped_files_and_folders_of_a_directory(tmp_path, monkeypatch):
    """Unread folders are errors; files without an image's ending are only counted."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a.png", "photos/b.tiff", "photos/c.TIFF", "photos/d", "elsewhere/e.png", "photos/sub/f.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    (tmp_path / "photos" / "linked").symlink_to("../elsewhere")
    (tmp_path / "photos" / "sub" / "loop").symlink_to("..")
    (tmp_path / "photos" / "lost.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "photos" / "pipe.png")
    files, errors, notes = image_files.expand("photos")
    assert files == ["photos/a.png", "photos/lost.png", "photos/pipe.png", "photos/sub/f.webp"]
    link = "a link to a folder, not followed; pass it by name to read it"
    assert list(map(str, errors)) == [f"photos/linked: {link}", f"photos/sub/loop: {link}"]
    assert notes == ["photos: skipped 2 .tiff files, 1 other file"]
    assert expand("photos/linked") == ["photos/linked/e.png"]


EXPAND = """
for argument in sys.argv[1:]:
    try:
        files, errors, _ = image_files.expand(argument)
        print(*files, *errors, sep="|")
    except UserError as error:
        print(error)
"""


@needs_root
def test_directories_without_read_permission(public_dir):
    for name in ("a.png", "shut/b.png"):
        (public_dir / name).parent.mkdir(exist_ok=True)
        (public_dir / name).touch()
    (public_dir / "shut").chmod(0)
    imports = "from graph_resnet.data import image_files\nfrom graph_resnet.errors import UserError"
    of_all, of_shut, of_file = as_nobody(
        imports, EXPAND, public_dir, public_dir / "shut", public_dir / "shut" / "b.png"
    ).splitlines()
    unread = f"{public_dir}/shut: cannot be read (Permission denied); its images are skipped"
    assert of_all == f"{public_dir}/a.png|{unread}"
    assert of_shut == unread
    assert of_file == f"{public_dir}/shut/b.png: Permission denied"


def test_a_16_bit_image_with_a_transparent_grey_is_white_there(tmp_path):
    grey = np.full((8, 8), 0x8000, np.uint16)
    grey[:, :4] = 0x1234
    transparent = b"tRNS", struct.pack(">H", 0x1234)
    Image.fromarray(grey).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    kind, data = transparent
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    place = content.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(content[:place] + chunk + content[place:])
    loaded = image_files.load(tmp_path / "a.png", 8)
    assert (loaded[:, :4] == 255).all() and (loaded[:, 4:] == 0x80).all()


def test_a_fault_of_the_system_is_not_the_images_own(tmp_path, monkeypatch):
    halves(RED, BLUE).save(tmp_path / "a.bmp")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.bmp").read_bytes()[:500])
    with pytest.raises(UserError) as damaged:
        image_files.load(tmp_path / "b.png", 4)
    assert not isinstance(damaged.value, image_files.NotReadError)
    for error, why in (
        (OSError(24, "Too many open files"), "Too many open files"),
        (MemoryError(), "not enough memory"),
    ):
        monkeypatch.setattr(Image, "open", lambda *_, e=error, **__: raised(e))
        with pytest.raises(image_files.NotReadError, match=f"a.bmp: {why}"):
            image_files.load(tmp_path / "a.bmp", 4)


def raised(error):
    raise error


def test_warnings_are_silenced_by_several_threads_and_come_back():
    before = list(warnings.filters)
    entered, left = threading.Event(), threading.Event()

    def other():
        with image_files.quiet():
            entered.set()
            left.wait()

    thread = threading.Thread(target=other)
    with warnings.catch_warnings(record=True) as caught, image_files.quiet():
        thread.start()
        entered.wait()
        warnings.warn("silenced", stacklevel=1)
    left.set()
    thread.join()
    assert not caught and warnings.filters == before


def test_the_callers_limit_of_pixels_does_not_matter():
    code = "from PIL import Image; Image.MAX_IMAGE_PIXELS = None\nfrom graph_resnet.data import image_files\n"
    code += "print(image_files.MAX_PIXELS)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "89478485\n", done.stderr


def test_patterns_of_folders_and_of_the_home_directory(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "photos" / "a.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert image_files.expand("~/photos/*.png").files == [str(tmp_path / "photos" / "a.png")]
    with pytest.raises(UserError, match=r"\*: matches only folders; pass them without a pattern, such as .*photos"):
        image_files.expand(f"{tmp_path}/*")
    with pytest.raises(UserError, match="no_such_user/a.png: no such file"):
        image_files.expand("~no_such_user/a.png")


@needs_root
def test_a_pattern_names_the_folders_that_cannot_be_listed(public_dir):
    (public_dir / "locked").mkdir(0)
    Image.new("RGB", (4, 4)).save(public_dir / "a.png")
    code = "found = image_files.expand(sys.argv[1]); print(len(found.files), *found.errors)"
    shown = as_nobody("from graph_resnet.data import image_files", code, f"{public_dir}/**/*.png")
    assert shown == f"1 {public_dir}/locked: cannot be read (Permission denied); its images are skipped\n"
