"""The load generator: worker processes over bare sockets, stamped by the kernel."""
