"""Multiparty computation with CrypTen: every compute party is a process of its own."""
