"""The papers' published results, tables of ours beside them, and evaluation."""
