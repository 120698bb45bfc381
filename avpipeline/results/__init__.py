"""The papers' published results, tables that show ours beside them, and evaluation."""
