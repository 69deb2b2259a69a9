"""Shipped tables: derived numbers with credit, read by the rooms that need them; built by the
scripts in `tools/`.
"""
