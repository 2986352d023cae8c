"""What `dev_up.py` and `dev_down.py` are made of. Standard library only."""
