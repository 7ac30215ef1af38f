"""Small programs that play the parts of an AetherLink installation which are not free to install here.

Each is `python -m runbook.local_stack.fakes.NAME`. They are written from the facts of the target environment and never
from the clients that talk to them, so that a shared misunderstanding cannot hide; they import nothing else of runbook.
"""
