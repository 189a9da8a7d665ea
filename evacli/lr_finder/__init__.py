"""The search for a learning rate: a range test, and short trainings near what it suggests."""
