"""Sound: tones, speech, mixing, loudness, encoding, and how it reaches the speakers.

Import the module that does it. Nothing is imported here: the children (`espeak_child`, `decode_child`,
`studio_child`) start through this package and must start fast, and only they load ffmpeg.
"""
