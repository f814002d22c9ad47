"""Files as output: the media type is that of the name's extension."""

import tempfile
from pathlib import Path as PlainPath

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, name: str, plain: bool = False) -> Path:
        path = PlainPath(tempfile.mkdtemp()) / name
        path.write_bytes(b"content")
        return path if plain else Path(path)


REQUESTS = [
    {"input": {"name": "a.png"}},
    {"input": {"name": "a.PNG"}},
    {"input": {"name": "a.jpg"}},
    {"input": {"name": "a.jpeg"}},
    {"input": {"name": "a.webp"}},
    {"input": {"name": "a.gif"}},
    {"input": {"name": "a.bmp"}},
    {"input": {"name": "a.tiff"}},
    {"input": {"name": "a.svg"}},
    {"input": {"name": "a.wav"}},
    {"input": {"name": "a.mp3"}},
    {"input": {"name": "a.flac"}},
    {"input": {"name": "a.ogg"}},
    {"input": {"name": "a.m4a"}},
    {"input": {"name": "a.mp4"}},
    {"input": {"name": "a.webm"}},
    {"input": {"name": "a.mov"}},
    {"input": {"name": "a.avi"}},
    {"input": {"name": "a.mkv"}},
    {"input": {"name": "a.txt"}},
    {"input": {"name": "a.json"}},
    {"input": {"name": "a.csv"}},
    {"input": {"name": "a.html"}},
    {"input": {"name": "a.md"}},
    {"input": {"name": "a.yaml"}},
    {"input": {"name": "a.pdf"}},
    {"input": {"name": "a.zip"}},
    {"input": {"name": "a.tar"}},
    {"input": {"name": "a.tar.gz"}},
    {"input": {"name": "a.gz"}},
    {"input": {"name": "a.glb"}},
    {"input": {"name": "a.gltf"}},
    {"input": {"name": "a.obj"}},
    {"input": {"name": "a.ply"}},
    {"input": {"name": "a.stl"}},
    {"input": {"name": "a.npy"}},
    {"input": {"name": "a.bin"}},
    {"input": {"name": "a.safetensors"}},
    {"input": {"name": "a.pt"}},
    {"input": {"name": "a.onnx"}},
    {"input": {"name": "a.srt"}},
    {"input": {"name": "a.vtt"}},
    {"input": {"name": "a.avif"}},
    {"input": {"name": "a.heic"}},
    {"input": {"name": "a.ico"}},
    {"input": {"name": "a.py"}},
    {"input": {"name": "a.step"}},
    {"input": {"name": "a.dxf"}},
    {"input": {"name": "a.wma"}},
    {"input": {"name": "a.cif"}},
    {"input": {"name": "a.xyz"}},
    {"input": {"name": "a.3ds"}},
    {"input": {"name": "a.ktx"}},
    {"input": {"name": "a.iges"}},
    {"input": {"name": "a.igs"}},
    {"input": {"name": "a.dae"}},
    {"input": {"name": "a.x3d"}},
    {"input": {"name": "a.text"}},
    {"input": {"name": "a.asf"}},
    {"input": {"name": "a.wrl"}},
    {"input": {"name": "a.ts"}},
    {"input": {"name": "a.usdz"}},
    {"input": {"name": "a.exr"}},
    {"input": {"name": "a.psd"}},
    {
        "input": {"name": "a.wks"},
        "ours": {"output": "data:application/octet-stream;base64,Y29udGVudA=="},
        "because": "MEDIA_TYPES",
    },
    {"input": {"name": "a.unheardof"}},
    {"input": {"name": "no extension"}},
    {"input": {"name": ".hidden"}},
    {"input": {"name": "é 漢.png"}},
    {"input": {"name": "a.png", "plain": True}},
]
