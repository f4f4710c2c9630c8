"""A speaker's clock: its own oscillator, set only by the core's signed time (rules of docs/protocols/ip-speaker.md).

Everything in whole milliseconds: monotonic ones of the device, and UTC since the epoch.
"""

from __future__ import annotations

from typing import Final

# An answer slower than this says too little about the time to set a clock by: half of it is the possible error.
LONGEST_EXCHANGE_MS: Final = 10_000


class DeviceClock:
    """UTC as the device knows it. `trusted` once a nonce-bound exchange has set it."""

    __slots__ = ("_offset", "trusted")

    def __init__(self, rtc_utc: int, mono: int) -> None:
        """`rtc_utc` is what the device's own battery-backed clock believes at `mono`; it is never acted on."""
        self._offset = rtc_utc - mono
        self.trusted = False

    def now(self, mono: int) -> int:
        """UTC at the device's `mono`."""
        return mono + self._offset

    def mono_of(self, utc: int) -> int:
        """The device's monotonic time at which its clock will show `utc`, if nothing sets it in between."""
        return utc - self._offset

    def set_by_exchange(self, issued_at: int, sent: int, received: int) -> bool:
        """Set from an answer to our own nonce: it was signed between `sent` and `received`, on average midway.

        False, and nothing set, if the exchange took too long. May move the clock back: this answer is fresh.
        """
        if received - sent > LONGEST_EXCHANGE_MS:
            return False
        self._offset = issued_at - (sent + received) // 2
        self.trusted = True
        return True

    def not_before(self, issued_at: int, mono: int) -> None:
        """Something signed at `issued_at` has been heard: it is at least that late. Never moves back."""
        self._offset = max(self._offset, issued_at - mono)

    def glitch(self, ms: int) -> None:
        """A fault: the clock jumps, and nobody tells it."""
        self._offset += ms


class Oscillator:
    """The crystal of one device: its monotonic milliseconds, out of the machine's seconds, with its own drift."""

    __slots__ = ("_device", "_machine", "_rate")

    def __init__(self, machine: float, drift_ppm: float = 0.0) -> None:
        self._machine = machine
        self._device = machine * 1000
        self._rate = 1000 * (1 + drift_ppm / 1e6)

    def ms(self, machine: float) -> int:
        """The device's milliseconds at the machine's `machine` seconds."""
        return round(self._device + (machine - self._machine) * self._rate)

    def machine(self, ms: int) -> float:
        """The machine's seconds at the device's `ms`."""
        return self._machine + (ms - self._device) / self._rate

    def drift(self, machine: float, ppm: float) -> None:
        """Run at another rate from `machine` on."""
        self._device += (machine - self._machine) * self._rate
        self._machine = machine
        self._rate = 1000 * (1 + ppm / 1e6)
