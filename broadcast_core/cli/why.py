"""Why the machine or the network did not do it, in a few words of the terminal's language."""

from __future__ import annotations

import errno
import http.client
import socket
from collections.abc import Mapping
from typing import Final

from broadcast_core.i18n import Sentence, _

_ERRNO: Final[Mapping[int | None, Sentence]] = {
    errno.ECONNREFUSED: _("nothing listens there"),
    errno.EHOSTUNREACH: _("there is no way to it"),
    errno.ENETUNREACH: _("there is no way to it"),
    errno.ENOENT: _("there is no such file or directory"),
    errno.EACCES: _("you may not"),
    errno.EPERM: _("you may not"),
    errno.EISDIR: _("it is a directory"),
    errno.ENOSPC: _("the disk is full"),
    errno.EEXIST: _("it is there already"),
}


def why_not(error: BaseException) -> Sentence | str:
    """Why the machine did not do it, in a few words."""
    if isinstance(error, TimeoutError):
        return _("no answer in time; whether it was done is not known")
    if isinstance(error, socket.gaierror):
        return _("there is no such host")
    if isinstance(error, OSError) and error.errno in _ERRNO:
        return _ERRNO[error.errno]
    if isinstance(error, ConnectionError | http.client.HTTPException):
        return _("the connection broke")
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
