"""Media types by file name extension, the same on every host and under every Python."""

from __future__ import annotations

import mimetypes
from pathlib import PurePath

UNKNOWN = "application/octet-stream"


def media_type_of(name: str) -> str:
    """The media type of a file by the last extension of its name, whatever its case; `UNKNOWN` where it tells none."""
    extension = PurePath(name).suffix.lower()
    return _TYPES.types_map[True].get(extension) or _TYPES.types_map[False].get(extension, UNKNOWN)


def extension_of(media_type: str) -> str:
    """The usual extension, with its dot, of a media type; empty where there is none."""
    return _TYPES.guess_extension(media_type, strict=False) or ""


# Where Python's table has no answer, or another one than Cog gives: what Cog 0.23.1 was seen to send.
_LIKE_COG = {
    "application/epub+zip": (".epub",),
    "application/font-sfnt": (".otf",),
    "application/font-woff": (".woff",),
    "application/geo+json": (".geojson",),
    "application/gzip": (".gz",),
    "application/java-archive": (".jar",),
    UNKNOWN: (".bin", ".3gpp2", ".ass", ".h5", ".ksh", ".loas", ".pyc", ".pyo", ".xlb", ".xpdl"),
    "application/rdf+xml": (".rdf",),
    "application/rtf": (".rtf",),
    "application/step": (".step", ".stp"),
    "application/vnd.android.package-archive": (".apk",),
    "application/vnd.apache.parquet": (".parquet",),
    "application/vnd.mif": (".mif",),
    "application/vnd.mozilla.xul+xml": (".xul",),
    "application/vnd.ms-fontobject": (".eot",),
    "application/vnd.ms-pki.stl": (".stl",),
    "application/vnd.oasis.opendocument.presentation": (".odp",),
    "application/vnd.oasis.opendocument.spreadsheet": (".ods",),
    "application/vnd.oasis.opendocument.text": (".odt",),
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": (".pptx",),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": (".xlsx",),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": (".docx",),
    "application/x-7z-compressed": (".7z",),
    "application/x-bzip2": (".bz2",),
    "application/x-cdf": (".cdf",),
    "application/x-compressed": (".tgz",),
    "application/x-dxf": (".dxf",),
    "application/x-httpd-php": (".php",),
    "application/x-mobipocket-ebook": (".mobi",),
    "application/x-msdownload": (".dll", ".bat"),
    "application/x-perl": (".pl",),
    "application/x-rar-compressed": (".rar",),
    "application/x-sql": (".sql",),
    "application/x-subrip": (".srt",),
    "application/x-tgif": (".obj",),
    "application/x-xz": (".xz",),
    "application/xhtml+xml": (".xhtml",),
    "audio/aac": (".aac",),
    "audio/aiff": (".aif", ".aiff", ".aifc"),
    "audio/flac": (".flac",),
    "audio/m4a": (".m4a",),
    "audio/mid": (".mid", ".midi"),
    "audio/ogg": (".ogg", ".oga", ".opus"),
    "audio/wav": (".wav",),
    "audio/x-mpegurl": (".m3u", ".m3u8"),
    "audio/x-ms-wma": (".wma",),
    "audio/x-pn-realaudio": (".ra", ".ram"),
    "chemical/x-cif": (".cif",),
    "chemical/x-xyz": (".xyz",),
    "font/ttf": (".ttf",),
    "font/woff2": (".woff2",),
    "image/apng": (".apng",),
    "image/avif": (".avif",),
    "image/bmp": (".bmp",),
    "image/heic": (".heic",),
    "image/heif": (".heif",),
    "image/jp2": (".jp2",),
    "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "image/jxl": (".jxl",),
    "image/ktx": (".ktx",),
    "image/pict": (".pict", ".pct", ".pic"),
    "image/vnd.radiance": (".hdr",),
    "image/webp": (".webp",),
    "image/x-3ds": (".3ds",),
    "image/x-icon": (".ico",),
    "image/x-tga": (".tga",),
    "model/gltf+json": (".gltf",),
    "model/gltf-binary": (".glb",),
    "model/iges": (".iges", ".igs"),
    "model/vnd.collada+xml": (".dae",),
    "model/x3d+xml": (".x3d",),
    "text/javascript": (".js", ".jsx"),
    "text/markdown": (".md",),
    "text/plain": (".txt", ".cfg", ".conf", ".cpp", ".ini", ".log", ".py", ".text"),
    "text/sgml": (".sgml", ".sgm"),
    "text/x-lua": (".lua",),
    "text/x-rust": (".rs",),
    "text/x-toml": (".toml",),
    "text/x-yaml": (".yaml", ".yml"),
    "text/xml": (".xml", ".wsdl", ".xsl"),
    "video/3gpp": (".3gp", ".3gpp"),
    "video/3gpp2": (".3g2",),
    "video/ogg": (".ogv",),
    "video/vnd.dlna.mpeg-tts": (".ts",),
    "video/x-flv": (".flv",),
    "video/x-m4v": (".m4v",),
    "video/x-matroska": (".mkv",),
    "video/x-ms-asf": (".asf",),
    "video/x-ms-wmv": (".wmv",),
    "x-world/x-vrml": (".wrl",),
}


def _table() -> mimetypes.MimeTypes:
    # An instance, unlike the functions of the module, does not read the host's own tables.
    types = mimetypes.MimeTypes()
    for media_type, extensions in _LIKE_COG.items():
        for extension in extensions:
            types.add_type(media_type, extension)
    return types


_TYPES = _table()
