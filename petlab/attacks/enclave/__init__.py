"""What a host learns of an enclave that it cannot open."""
