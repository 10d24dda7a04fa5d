"""Money: budgets, what calls hold in them, free tiers and keys. Synchronous, in memory."""
