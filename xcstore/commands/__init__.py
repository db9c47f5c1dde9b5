"""Commands of `python -m xcstore`, one module each: `add_to(commands)` declares it, and names what runs it."""
