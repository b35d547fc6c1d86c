"""One call's way, top to bottom: `answer.py` first, then `run.py`.

    plan → reserve → first_success → watch → settle → reply
"""

from gateway.answering.answer import Answering

__all__ = ["Answering"]
