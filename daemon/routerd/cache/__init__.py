"""Cache: answers for identical calls, kept from earlier ones or shared with one in flight."""

from routerd.cache.answers import Answers, Turn, WaitedTooLong
from routerd.cache.collected import Collected
from routerd.cache.key import Key
from routerd.cache.store import KeptAnswer

__all__ = ["Answers", "Collected", "KeptAnswer", "Key", "Turn", "WaitedTooLong"]
