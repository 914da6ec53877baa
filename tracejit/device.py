"""Devices: where data lives, and which backend serves it."""

from tracejit.config import config
from tracejit.errors import DeviceError, user_frame

__all__ = ["check_device", "device", "devices"]


def devices():
    """Return the names of the devices that jitted functions can run on, the default first."""
    return ["cpu"]


def device(name):
    """Return a context manager, also a decorator, in which jitted functions run on the named device.

    Parameters
    ----------
    name : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:<number>"``.

    Raises
    ------
    ConfigError
        For a name that is none of these.
    DeviceError
        For a device that cannot be used here.
    """
    context = config.context(device=name)
    check_device(name)
    return context


def check_device(name):
    """Raise DeviceError where `name` is not among `devices()`."""
    if name not in devices():
        raise DeviceError(
            f"device {name!r} cannot be used: this version compiles for the CPU only",
            where=user_frame(), do="Use tracejit.device('cpu'), or leave the device out.",
        )
