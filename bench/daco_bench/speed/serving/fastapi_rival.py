"""A plain FastAPI server of an encoder in eager PyTorch: one request at a time in each of FastAPI's threads.

Run as a program: `python -m daco_bench.speed.serving.fastapi_rival INDEX PORT`.
"""

import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, UploadFile

from daco_bench.speed.serving.rival import Rival

app = FastAPI()
rival: Rival


@app.get("/health")
def health() -> str:
    return "ok"


@app.post("/query")
def query(image: UploadFile) -> dict[str, Any]:
    prepared = rival.prepare(image.file.read())
    return rival.look_up(rival.embed(prepared[None])[0])


if __name__ == "__main__":
    rival = Rival(Path(sys.argv[1]))
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
