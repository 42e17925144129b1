"""The client of allot, for shops and connectors: what a storefront installs. It needs neither the engine nor Numba."""
