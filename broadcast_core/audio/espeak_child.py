"""Program: text on stdin, a WAV file on stdout, spoken by eSpeak NG.

    python -m broadcast_core.audio.espeak_child --voice cmn --rate 150

eSpeak NG is licensed under GPL-3: it is loaded here, in a process of its own that shares nothing with the core but
a pipe, and is installed by choice (the extra `voice`). Ends with a code of `exits.Exit`, the reason on stderr.
"""

from __future__ import annotations

import argparse
import ctypes
import resource
import sys

from broadcast_core.audio.exits import Exit
from broadcast_core.audio.pcm import SAMPLE_BYTES, Pcm

# AUDIO_OUTPUT_SYNCHRONOUS: hand the samples to the callback, play nothing, and start no thread: a second start of the
# threaded mode in one process has crashed.
_SYNCHRONOUS = 2
_RATE = 1  # espeakRATE, words per minute
_UTF8 = 1  # espeakCHARS_UTF8; without the SSML and phoneme flags text is never markup
_OK, _GO_ON, _ABORT = 0, 0, 1
_CPU_S = 60  # backstop for a synthesiser that spins after its parent is gone

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class Refused(Exception):
    """The text or the voice cannot be spoken; says why in a phrase that the parent translates."""


def main() -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    parser = argparse.ArgumentParser(description="Text on stdin, WAV on stdout.")
    parser.add_argument("--voice", required=True)
    parser.add_argument("--rate", type=int, required=True, help="words per minute")
    parser.add_argument("--longest", type=float, default=600.0, help="seconds of speech after which it is refused")
    options = parser.parse_args()
    try:
        spoken = speak(sys.stdin.buffer.read(), options.voice, options.rate, options.longest)
    except ImportError as error:
        sys.stderr.write(str(error))
        return Exit.UNAVAILABLE
    except Refused as error:
        sys.stderr.write(str(error))
        return Exit.REFUSED
    sys.stdout.buffer.write(spoken.to_wav())
    return Exit.OK


def speak(text: bytes, voice: str, words_per_minute: int, longest_s: float) -> Pcm:
    """`text` (UTF-8) by `voice`. Raises Refused, and ImportError when eSpeak NG is not installed."""
    library, data = _library()
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), 0)
    if rate <= 0:
        raise ImportError("eSpeak NG does not start")
    if library.espeak_SetVoiceByName(voice.encode()) != _OK:
        raise Refused("it does not have this voice")
    samples = bytearray()
    longest = int(longest_s * rate) * SAMPLE_BYTES

    def collect(wave: int | None, count: int, _events: int | None) -> int:
        if wave and count > 0:
            samples.extend(ctypes.string_at(wave, count * SAMPLE_BYTES))
        return _ABORT if len(samples) > longest else _GO_ON

    callback = _Callback(collect)
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetParameter(_RATE, words_per_minute, 0)
    if library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, _UTF8, None, None) != _OK:
        raise Refused("the synthesiser cannot say it")
    if len(samples) > longest:
        raise Refused("it takes too long to say")
    return Pcm(rate=rate, samples=bytes(samples))


def _library() -> tuple[ctypes.CDLL, str]:
    import espeakng_loader

    try:
        return ctypes.CDLL(espeakng_loader.get_library_path()), espeakng_loader.get_data_path()
    except (OSError, RuntimeError) as error:
        raise ImportError(f"eSpeak NG cannot be loaded: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
