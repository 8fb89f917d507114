"""Failures. The codes are the same in every language; see the error table of Keep."""

from __future__ import annotations

import json
from functools import cache

from . import _native


class KeepError(Exception):
    """A failure, with a stable code and what to do next."""

    def __init__(self, code: str, blame: str, message: str, hint: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.blame = blame
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[KeepError], tuple[str, str, str, str]]:
        return (type(self), (self.code, self.blame, self.message, self.hint))

    def to_dict(self) -> dict[str, str]:
        """The form in which every front end of Keep tells a failure."""
        return {"code": self.code, "blame": self.blame, "message": self.message, "hint": self.hint}


class CallerError(KeepError):
    """What was given is wrong."""


class PolicyError(KeepError):
    """A rule or a limit of the owner says no."""


class ApprovalError(KeepError):
    """A person said no, or nobody could be asked."""


class PeerError(KeepError):
    """A relay or another device failed."""


class StorageError(KeepError):
    """The disk, or the vault's data."""


class KeepBug(KeepError):
    """Something that must not happen."""


_CLASSES: dict[str, type[KeepError]] = {
    "caller": CallerError,
    "policy": PolicyError,
    "approval": ApprovalError,
    "peer": PeerError,
    "storage": StorageError,
    "bug": KeepBug,
}


@cache
def _blames() -> dict[str, str]:
    return {entry["code"]: entry["blame"] for entry in json.loads(_native.error_codes())}


def failure(code: str, message: str, hint: str) -> KeepError:
    """The error in the class that says who has to act."""
    blame = _blames().get(code, "bug")
    return _CLASSES.get(blame, KeepError)(code, blame, message, hint)


def error_codes() -> dict[str, type[KeepError]]:
    """Every code, with the class in which it is raised."""
    return {code: _CLASSES[blame] for code, blame in _blames().items()}
