"""The service card: what carriers charge and when nodes ship, read and checked, and as columns for kernels.

SERVICE_CARD.md describes the file.
"""
