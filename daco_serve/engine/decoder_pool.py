"""Decodes uploaded photographs in separate processes: a decoder that hangs or crashes does not affect the server."""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time

from PIL import Image

from daco_serve.engine.answers import QueryError
from daco_serve.engine.decoding import READY, REPLY, REQUEST, receive
from daco_serve.operation import metrics

log = logging.getLogger(__name__)

BUFFER_BYTES = 2**20
KEPT_BYTES = 64 * 2**20
TOO_BUSY = "The server is busy: try again in a second."
DECODER_FAILED = "The server cannot decode photographs now; its log has the reason."
START_SECONDS = 30.0  # in which a decoder must have imported what it needs, on a busy machine
PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")


class Decoders:
    """Decoding processes, as many as threads that decode at the same time; they end with this process.

    Args:
        seconds: time limit for one photograph; a decoder that takes longer is killed.
        max_pixels: the largest width times height that is decoded.
    """

    def __init__(self, seconds: float, max_pixels: int) -> None:
        self._seconds = seconds
        self._max_pixels = max_pixels
        self._idle: list[_Decoder] = []
        self._lock = threading.Lock()
        self._works = False  # whether the decoder used last worked

    def decode(self, data: bytes, size: int, square: bool) -> Image.Image:
        """Decodes a photograph for an encoder, see `decoding.decode`; may be called from several threads.

        Raises:
            QueryError: it is not a supported image, or takes too long; or no decoder works (`decoder_failed`).
        """
        decoder = self._take_proven()
        try:
            image = decoder.ask(data, self._max_pixels, size, square, self._seconds)
        except QueryError:
            self._give_back(decoder)
            raise
        except TimeoutError as error:
            decoder.end()
            log.warning("A photograph took longer than %g seconds to decode; its decoder was stopped.", self._seconds)
            raise QueryError("image_too_slow", f"Decoding takes longer than {self._seconds:g} seconds.") from error
        except (EOFError, OSError) as error:
            decoder.end()
            log.warning("A decoder crashed while decoding a photograph (%s).", decoder.how_it_ended())
            raise QueryError("image_truncated", "The image is damaged so that its decoder crashes.") from error
        except BaseException:
            decoder.end()
            raise
        self._give_back(decoder)
        return image

    def warm(self) -> None:
        """Starts a first process, so that no query has to wait for it."""
        self._give_back(self._take())

    def check(self) -> None:
        """Raises QueryError unless a decoder works; tests one if none has worked yet, or the last did not."""
        if not self._works:
            self._give_back(self._take_proven())

    def close(self) -> None:
        """Ends the idle processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.end()

    def _take_proven(self) -> "_Decoder":
        """A process that has decoded a test photograph, so that a later crash is caused by the photograph."""
        decoder = self._take()
        try:
            decoder.wait_until_ready()
        except (EOFError, OSError) as error:  # and TimeoutError
            decoder.end()
            self._works = False
            metrics.faults.labels("decoder").inc()
            log.error("A decoder does not start (%s).", decoder.how_it_ended())
            raise QueryError("decoder_failed", DECODER_FAILED) from error
        except BaseException:
            decoder.end()
            raise
        self._works = True
        return decoder

    def _take(self) -> "_Decoder":
        while (decoder := self._pop()) is not None:
            if decoder.lives:
                return decoder
            log.warning("An idle decoder ended (%s).", decoder.how_it_ended())
            decoder.end()
        try:
            return _Decoder(self._seconds)
        except OSError as error:  # no more processes, files or memory are available
            log.error("No decoder can be started: %s.", error.strerror)
            raise QueryError("too_busy", TOO_BUSY) from error

    def _pop(self) -> "_Decoder | None":
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, decoder: "_Decoder") -> None:
        with self._lock:
            self._idle.append(decoder)


def _environment() -> dict[str, str]:
    """Without the server's secrets; and with an allocator that keeps its memory.

    Requesting an image's pages again for each photograph costs up to a third of its decoding time.
    """
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**kept, "MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES), "MALLOC_MMAP_THRESHOLD_": str(KEPT_BYTES // 2)}


class _Decoder:
    """One process that runs `decoding.main`."""

    def __init__(self, seconds: float) -> None:
        self._ready = False
        self._channel, theirs = socket.socketpair()
        with theirs:
            for end in (self._channel, theirs):
                for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                    end.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-W", "ignore", "-m", "daco_serve.engine.decoding", str(seconds)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env=_environment(),
                    start_new_session=True,  # so that Ctrl-C reaches the server only
                )
            except OSError:
                self._channel.close()
                raise

    def wait_until_ready(self) -> None:
        """Raises TimeoutError; or EOFError or OSError if the process has ended."""
        if not self._ready:
            self._deadline = time.monotonic() + START_SECONDS
            self._receive(len(READY))
            self._ready = True

    def ask(self, data: bytes, max_pixels: int, size: int, square: bool, seconds: float) -> Image.Image:
        """Raises QueryError, TimeoutError, or EOFError and OSError if the process has ended."""
        self._deadline = time.monotonic() + seconds
        self._send(REQUEST.pack(len(data), max_pixels, size, square))
        self._send(data)
        width, height, count = REPLY.unpack(self._receive(REPLY.size))
        content = self._receive(count)
        if not width:
            raise QueryError(**json.loads(content))
        return Image.frombuffer("RGB", (width, height), content, "raw", "RGB", 0, 1)

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._channel.close()

    def how_it_ended(self) -> str:
        code = self._process.poll()
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def _send(self, content: bytes) -> None:
        self._channel.settimeout(self._left())
        self._channel.sendall(content)

    def _receive(self, count: int) -> bytearray:
        self._channel.settimeout(self._left())
        return receive(self._channel, count)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left
