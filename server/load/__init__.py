"""`allot load`: a running server under a load of its own, and what came of it.

`mix` says what is sent, `catalogue` what it is about, `orders` and `lane` make the messages, `arrivals` says when each
is due, `driving` sends them, `tally` and `latencies` count, `proof` looks whether anything was oversold or lost. The
command is server/cli/load.py. benchmarks/ takes arrivals, latencies and encoded batches from here.
"""
