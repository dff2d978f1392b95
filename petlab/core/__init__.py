"""The narrow waist: what a task or a technique is written with."""
