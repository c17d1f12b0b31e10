"""Imported first by the programs: Ctrl-C while the other modules are imported ends the process without a traceback.

From then on, :mod:`cxr_lightning.utils.signals` handles it.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where the shell ignores it
    signal.signal(signal.SIGINT, signal.SIG_DFL)
