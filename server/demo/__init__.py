"""`make demo`: a generated festive hour through a real server, then the proof of `allot verify` and one table.

__main__ is the flow: a server of its own (`server`), what the hour holds (`figures`, `hour`), loading and sending by
the public client alone (`sending`, `watching`), and what came of it (`tally`, `show`).
"""
