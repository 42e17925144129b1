"""The edge: command line now, gRPC later. Clocks, sockets, limits and security live here, never in the engine."""
