"""`tocsin alert`: send, list, show, watch, stop, report."""
