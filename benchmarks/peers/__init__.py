"""What else could decide the orders of P1: PostgreSQL, Redis, NumPy and plain Python, each by its best program.

`peer.py` says what a peer is, `contest.py` measures them, started by benchmarks/p1_lane.py and p1_peers.py.
"""
