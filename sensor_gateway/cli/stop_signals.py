"""The signals after which a service takes itself down in order: Ctrl-C, a service manager's SIGTERM, a terminal that is closed."""

from __future__ import annotations

import signal


def stop_signals() -> tuple[signal.Signals, ...]:
    """SIGHUP is one of them, unless this was started to outlive its terminal (`nohup`). Settings are read at the start only, so
    there is nothing to read again.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return (signal.SIGINT, signal.SIGTERM)
    return (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
