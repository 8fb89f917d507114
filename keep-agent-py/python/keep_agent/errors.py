"""Failures. The codes are the same in every language; see the error table of Keep."""

from __future__ import annotations

from . import _native


class KeepError(Exception):
    """A failure, with a stable code and what to do next."""

    def __init__(self, code: str, blame: str, message: str, hint: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.blame = blame
        self.message = message
        self.hint = hint


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


_BY_BLAME: dict[str, type[KeepError]] = {
    "caller": CallerError,
    "policy": PolicyError,
    "approval": ApprovalError,
    "peer": PeerError,
    "storage": StorageError,
    "bug": KeepBug,
}


def from_native(error: _native.NativeError) -> KeepError:
    """The error in the class that says who has to act."""
    code, blame, message, hint = error.args
    return _BY_BLAME.get(blame, KeepError)(code, blame, message, hint)


def error_codes() -> dict[str, type[KeepError]]:
    """Every code, with the class in which it is raised."""
    return {code: _BY_BLAME[blame] for code, blame in _native.error_codes()}
