"""The house rule: an app asks routerd, and speaks to no vendor by itself.

Rules of this room: it reads source and runs none of it. It knows nothing of the daemon and imports
no other room. What is looked for stands in `vendors.py` as data; a reader of one kind of file turns
text into findings and does no I/O; only `files.py` and `checking.py` touch the disk.
"""
