"""The wire between an app and the routerd daemon: frames, their codec, and their legal order.

Pure code: nothing here opens a socket. Standard library and msgspec only.
"""

from routerd_proto.codec import (
    DEFAULT_MAX_FRAME_BYTES,
    FrameReader,
    client_frame_reader,
    daemon_frame_reader,
    encode_frame,
    encode_frames,
    encode_more,
    repair_text,
)
from routerd_proto.conversation import Conversation, State
from routerd_proto.errors import CODES, Blame, ErrorInfo, ProtocolError, error_info
from routerd_proto.frames import PROTOCOL_VERSION

__all__ = [
    "CODES",
    "DEFAULT_MAX_FRAME_BYTES",
    "PROTOCOL_VERSION",
    "Blame",
    "Conversation",
    "ErrorInfo",
    "FrameReader",
    "ProtocolError",
    "State",
    "client_frame_reader",
    "daemon_frame_reader",
    "encode_frame",
    "encode_frames",
    "encode_more",
    "error_info",
    "repair_text",
]
