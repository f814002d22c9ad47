"""Metadata in files, read back by Pillow and, where it is installed, by exiftool."""

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from PIL import Image, PngImagePlugin

from server.diffusion import FORMATS, Metadata, MetadataError, Provenance, read_metadata, save
from server.diffusion.infotext import infotext
from server.diffusion.metadata import to_json
from server.diffusion.warnings import WarningCode, Warnings
from tests.diffusion.test_metadata import METADATA, PLAIN, UNHURRIED

MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
EDITED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

WILD = 'a "red" apple, <b>&amp; \'x\'\0 \ud800 😀\nsecond: line\r\n{"a": 1}'

METADATA_OF_ALL = Metadata(
    prompt=WILD,
    negative_prompt="text: frame",
    seed=4294967295,
    width=8,
    height=8,
    provenance=Provenance("owner/model", revision="ab" * 20, versions={"darkroom": "0.1.0", "torch": "2.8.0"}),
    inputs={"prompt": WILD, "image": {"$sha256": "cd" * 32}, "width": None},
    num_inference_steps=20,
    guidance_scale=7.5,
    scheduler="K_EULER",
)

LONG = {"ascii": "red apple " * 1000, "chinese": "红苹果" * 3333, "emoji": "😀" * 10_000}

exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")


def ask_exiftool(path: Path) -> dict[str, Any]:
    command = ["exiftool", "-json", "-G1", "-b", "-struct", "-api", "LargeFileSupport=1", str(path)]
    done = subprocess.run(command, capture_output=True, check=True)
    [tags] = json.loads(done.stdout)
    return dict(tags)


def written(tmp_path: Path, ending: str, metadata: Metadata | None, warnings: Warnings | None = None) -> Path:
    path = tmp_path / f"picture.{ending}"
    save(Image.new("RGB", (8, 8), "red"), path, 90, metadata, warnings)
    return path


def parameters(path: Path) -> str | None:
    """What the web UI finds in a file."""
    with Image.open(path) as image:
        if "parameters" in image.info:
            return str(image.info["parameters"])
        comment = image.getexif().get_ifd(0x8769).get(0x9286)
    if comment is None:
        return None
    assert comment[:8] == b"UNICODE\0"
    return bytes(comment[8:]).decode("utf-16-be")


def description(path: Path) -> dict[str, Any]:
    """The properties in a file's XMP, as Pillow reads them."""
    with Image.open(path) as image:
        read: dict[str, Any] = image.getxmp()["xmpmeta"]["RDF"]["Description"]
        return read


@pytest.mark.parametrize("ending", FORMATS)
def test_the_line_of_the_web_ui_is_where_it_looks(ending: str, tmp_path: Path) -> None:
    assert parameters(written(tmp_path, ending, METADATA_OF_ALL)) == infotext(METADATA_OF_ALL)


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(("edited", "kind"), [(False, MADE), (True, EDITED)])
def test_the_file_is_marked_as_made_by_a_model(ending: str, edited: bool, kind: str, tmp_path: Path) -> None:
    properties = description(written(tmp_path, ending, replace(METADATA_OF_ALL, edited=edited)))
    assert properties["DigitalSourceType"] == kind
    assert properties["CreatorTool"] == "Darkroom 0.1.0"
    assert properties["AISystemUsed"] == "owner/model"
    assert properties["AISystemVersionUsed"] == "ab" * 20
    assert properties["AIPromptInformation"].endswith("Negative prompt: text: frame")


@exiftool
@pytest.mark.parametrize("ending", FORMATS)
def test_exiftool_reads_it_all(ending: str, tmp_path: Path) -> None:
    path = written(tmp_path, ending, METADATA_OF_ALL)
    tags = ask_exiftool(path)
    assert tags["XMP-iptcExt:DigitalSourceType"] == MADE
    assert tags["XMP-xmp:CreatorTool"] == "Darkroom 0.1.0"
    record = tags["PNG:Darkroom" if ending == "png" else "XMP-darkroom:Generation"]
    assert (record if isinstance(record, dict) else json.loads(record)) == json.loads(to_json(METADATA_OF_ALL))
    assert tags.get("ExifIFD:UserComment", tags.get("PNG:Parameters")) == infotext(METADATA_OF_ALL)
    warnings = subprocess.run(["exiftool", "-validate", "-warning", "-a", "-s3", path], capture_output=True, text=True)
    # What EXIF asks of a camera's JPEG is about cameras.
    assert [line for line in warnings.stdout.splitlines()[1:] if "Missing required JPEG" not in line] == []


@pytest.mark.parametrize("ending", FORMATS)
def test_all_of_it_is_read_back(ending: str, tmp_path: Path) -> None:
    assert read_metadata(written(tmp_path, ending, METADATA_OF_ALL)) == METADATA_OF_ALL


@pytest.mark.parametrize("ending", FORMATS)
def test_any_text_is_read_back(ending: str, tmp_path: Path) -> None:
    @settings(UNHURRIED, max_examples=25)
    @given(METADATA)
    def check(metadata: Metadata) -> None:
        assert read_metadata(written(tmp_path, ending, metadata)) == metadata

    check()


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_long_prompts_are_read_back_whole(ending: str, text: str, tmp_path: Path) -> None:
    long = replace(PLAIN, prompt=text, negative_prompt=text, inputs={"prompt": text, "negative_prompt": text})
    path = written(tmp_path, ending, long)
    assert read_metadata(path) == long
    assert description(path)["DigitalSourceType"] == MADE


@exiftool
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_exiftool_joins_what_a_jpeg_holds_in_parts(text: str, tmp_path: Path) -> None:
    long = replace(PLAIN, prompt=text, inputs={"prompt": text})
    tags = ask_exiftool(written(tmp_path, "jpg", long))
    record = tags["XMP-darkroom:Generation"]
    assert (record if isinstance(record, dict) else json.loads(record)) == json.loads(to_json(long))
    assert tags["XMP-iptcExt:AIPromptInformation"] == text


def test_a_jpeg_without_room_for_the_comment_leaves_it_out_and_says_so(tmp_path: Path) -> None:
    long = replace(PLAIN, prompt=LONG["emoji"], negative_prompt=LONG["emoji"])
    warnings = Warnings()
    path = written(tmp_path, "jpg", long, warnings)
    assert parameters(path) is None
    [warning] = warnings.to_list()
    assert warning["code"] == WarningCode.TRUNCATED
    assert "png, webp or avif" in (warning["message"] or "")
    for ending in ("png", "webp", "avif"):
        warnings = Warnings()
        assert parameters(written(tmp_path, ending, long, warnings)) == infotext(long)
        assert warnings.to_list() == []


def test_a_jpeg_has_room_up_to_the_last_byte(tmp_path: Path) -> None:
    with Image.open(written(tmp_path, "jpg", replace(PLAIN, inputs={"text": ""}))) as image:
        # What Adobe's specification allows (part 3, on JPEG).
        room = 65502 - len(image.info["xmp"])
    for length, parts in ((room, 0), (room + 1, 2), (room + 60_000, 2), (room + 70_000, 3)):
        long = replace(PLAIN, inputs={"text": "a" * length})
        path = written(tmp_path, "jpg", long)
        assert read_metadata(path) == long
        assert path.read_bytes().count(b"http://ns.adobe.com/xmp/extension/\0") == parts


def test_the_comment_has_room_up_to_the_last_character(tmp_path: Path) -> None:
    with Image.open(written(tmp_path, "jpg", PLAIN)) as image:
        room = (0xFFFF - 2 - len(image.info["exif"])) // 2
    for length, told in ((room, 0), (room + 1, 1)):
        warnings = Warnings()
        path = written(tmp_path, "jpg", replace(PLAIN, prompt=PLAIN.prompt + "a" * length), warnings)
        assert len(warnings.to_list()) == told
        assert (parameters(path) is None) == bool(told)


@pytest.mark.parametrize("ending", FORMATS)
def test_without_metadata_there_is_nothing_but_the_picture(ending: str, tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 8))
    picture.info = {"comment": b"secret", "exif": b"secret", "xmp": b"secret", "parameters": "secret", "dpi": (72, 72)}
    save(picture, tmp_path / f"picture.{ending}", 90)
    assert picture.info["comment"] == b"secret"
    assert b"secret" not in (tmp_path / f"picture.{ending}").read_bytes()
    with Image.open(tmp_path / f"picture.{ending}") as read:
        assert not {"comment", "exif", "xmp", "parameters", "dpi"} & read.info.keys()


@pytest.mark.parametrize("ending", FORMATS)
def test_what_the_picture_was_read_from_is_not_passed_on(ending: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", comment=b"GPS of my house")
    save(Image.open(buffer), tmp_path / f"picture.{ending}", 90, PLAIN)
    assert b"my house" not in (tmp_path / f"picture.{ending}").read_bytes()


def test_the_smallest_picture_has_room(tmp_path: Path) -> None:
    for ending in FORMATS:
        save(Image.new("RGB", (1, 1), "red"), tmp_path / f"dot.{ending}", 90, METADATA_OF_ALL)
        assert read_metadata(tmp_path / f"dot.{ending}") == METADATA_OF_ALL


def _png(path: Path, **chunks: str) -> None:
    info = PngImagePlugin.PngInfo()
    for name, text in chunks.items():
        info.add_itxt(name, text)
    Image.new("RGB", (8, 8)).save(path, "PNG", pnginfo=info)


def _jpeg(path: Path, xmp: str) -> None:
    Image.new("RGB", (8, 8)).save(path, "JPEG", xmp=xmp.encode())


def _packet(content: str, attributes: str = "") -> str:
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}"><rdf:Description rdf:about="" '
        f'xmlns:darkroom="urn:darkroom:1.0/" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" {attributes}>'
        f"{content}</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;">]>' + _packet(
    "<darkroom:generation>&c;</darkroom:generation>"
)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: None, "There is no file"),
        (lambda path: path.write_bytes(b""), "not a picture of a kind that can be read"),
        (lambda path: path.write_text("<html></html>"), "not a picture of a kind that can be read"),
        (lambda path: path.mkdir(), "cannot be read"),
        (_png, "does not tell how it was made. It was saved with embed_metadata false"),
        (lambda path: _png(path, parameters="x\nSteps: 20, Seed: 1"), "was made by another program"),
        (lambda path: _png(path, darkroom="{"), "is damaged: it is not JSON"),
        (
            lambda path: _png(path, darkroom='{"format": 1, "seed": "x"}'),
            r"is damaged: Expected `int`, got `str` - at `\$.seed`",
        ),
        (lambda path: _jpeg(path, ""), "does not tell how it was made"),
        (lambda path: _jpeg(path, "<x>"), "its XMP is not XML"),
        (lambda path: _jpeg(path, BOMB), "its XMP is not XML"),
        (lambda path: _jpeg(path, _packet("")), "does not tell how it was made"),
        (lambda path: _jpeg(path, _packet("<darkroom:generation/>")), "it is not JSON"),
        (
            lambda path: _jpeg(path, _packet("<xmpNote:HasExtendedXMP>00</xmpNote:HasExtendedXMP>")),
            "a part of its XMP is missing or changed",
        ),
    ],
)
def test_what_tells_nothing_is_an_error_that_names_the_file(
    write: Callable[[Path], Any], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "picture"
    write(path)
    with pytest.raises(MetadataError, match=reason) as caught:
        read_metadata(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_that_is_cut_off_is_an_error_or_read(ending: str, tmp_path: Path) -> None:
    whole = written(tmp_path, ending, METADATA_OF_ALL).read_bytes()
    for length in range(0, len(whole), 97):
        (tmp_path / "cut").write_bytes(whole[:length])
        try:
            assert read_metadata(tmp_path / "cut") == METADATA_OF_ALL
        except MetadataError:
            assert length < len(whole)


def test_a_missing_part_is_noticed(tmp_path: Path) -> None:
    long = replace(PLAIN, inputs={"text": "a" * 200_000})
    content = written(tmp_path, "jpg", long).read_bytes()
    start = content.index(b"http://ns.adobe.com/xmp/extension/") - 4
    length = int.from_bytes(content[start + 2 : start + 4], "big") + 2
    (tmp_path / "cut.jpg").write_bytes(content[:start] + content[start + length :])
    with pytest.raises(MetadataError, match="a part of its XMP is missing or changed"):
        read_metadata(tmp_path / "cut.jpg")


def test_xmp_that_another_program_wrote_anew_is_read(tmp_path: Path) -> None:
    text = escape(to_json(METADATA_OF_ALL), {'"': "&quot;"})
    _jpeg(tmp_path / "a.jpg", _packet("", f'darkroom:generation="{text}"'))
    assert read_metadata(tmp_path / "a.jpg") == METADATA_OF_ALL


@exiftool
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_a_caption_that_exiftool_adds_leaves_it_whole(ending: str, tmp_path: Path) -> None:
    path = written(tmp_path, ending, METADATA_OF_ALL)
    subprocess.run(["exiftool", "-overwrite_original", "-XMP-dc:Title=mine", path], check=True, capture_output=True)
    assert read_metadata(path) == METADATA_OF_ALL
    assert "'li': {'lang': 'x-default', 'text': 'mine'}" in str(description(path))
