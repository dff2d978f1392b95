"""CrypTen as an engine: its secret-shared tensors over petlab's links, dealer and randomness."""
